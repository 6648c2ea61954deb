"""Putting what stands before and behind the block that does the work into it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV


def inline_before(sch: s_tir.Schedule, block: SBlockRV, keep: Collection[str] = ()) -> None:
    """Inline everything that leads to `block`, as far as that goes and up to blocks whose names are in `keep`."""
    changed = True
    while changed:
        changed = False
        for producer in _before(sch, block, keep):
            with contextlib.suppress(Exception):  # TVM's schedule errors have no common type
                sch.compute_inline(producer)
                changed = True


def inline_behind(sch: s_tir.Schedule, block: SBlockRV, keep: Collection[str] = ()) -> None:
    """Inline what reads the result of `block` into the block that writes it out, as far as that goes and up to blocks
    whose names are in `keep`."""
    changed = True
    while changed:
        changed = False
        for inline in (sch.compute_inline, sch.reverse_compute_inline):
            for consumer in _behind(sch, block, keep):
                with contextlib.suppress(Exception):
                    inline(consumer)
                    changed = True


def _before(sch: s_tir.Schedule, block: SBlockRV, keep: Collection[str]) -> list[SBlockRV]:
    found = []
    for producer in sch.get_producers(block):
        if sch.get(producer).name_hint not in keep:
            found.append(producer)
            found.extend(_before(sch, producer, keep))
    return found


def _behind(sch: s_tir.Schedule, block: SBlockRV, keep: Collection[str]) -> list[SBlockRV]:
    found = []
    for consumer in sch.get_consumers(block):
        if sch.get(consumer).name_hint not in keep:
            found.append(consumer)
            found.extend(_behind(sch, consumer, keep))
    return found
