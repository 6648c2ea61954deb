"""Kernels as TVM's JSON, as far as they are looked at, made without TVM."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from compiler.records.record import Workload


def ir(kind: str, extents: Sequence[int], *others: str) -> str:
    """A block of `kind` with axes of `extents`, beside blocks of the kinds `others`, which have none."""
    nodes: list[dict[str, Any]] = [{"type": "None"}]

    def add(type_: str, data: Any) -> int:
        nodes.append({"type": type_, "data": data})
        return len(nodes) - 1

    def block(name: str, sizes: Sequence[int]) -> None:
        axes = []
        for size in sizes:
            value = add("ir.IntImm", {"ty": 0, "value": add("int", size)})
            domain = add("ir.Range", {"min": 0, "extent": value})
            axes.append(add("tirx.IterVar", {"dom": domain, "iter_type": 0}))
        key, text = add("ffi.String", "edgetune.kernel"), add("ffi.String", name)
        notes = add("ffi.Map", [key, text])
        add("s_tir.SBlock", {"iter_vars": add("ffi.Array", axes), "annotations": notes, "body": 0})

    for other in others:
        block(other, [])
    block(kind, extents)
    return json.dumps({"root_index": len(nodes) - 1, "nodes": nodes})


def workload(number: int, kind: str, extents: Sequence[int], *others: str) -> Workload:
    """The kernel of `ir` under a hash made of `number`."""
    return Workload(f"{number:016x}", f"{kind}{number}", ir(kind, extents, *others))
