"""Workloads and records to test with, and hypothesis strategies for them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from compiler.records.canonical import canonical_json
from compiler.records.provenance import NOTHING_KNOWN, Provenance
from compiler.records.record import Record, Workload
from compiler.records.store import Store

DATA = Path(__file__).parent / "data"
HASHES = [f"{i:016x}" for i in range(1, 4)]
WORKLOADS = [Workload(h, f"conv{i}", json.dumps({"root_index": 0, "nodes": [i]})) for i, h in enumerate(HASHES)]


def trace(tile: int = 4, unroll: int = 16) -> str:
    """A plausible trace; `tile` and `unroll` make different ones."""
    instructions = [
        ["GetSBlock", [], ["conv", "main"], ["b0"]],
        ["GetLoops", ["b0"], [], ["l1", "l2"]],
        ["SamplePerfectTile", ["l1"], [2, 64], ["v3", "v4"]],
        ["Split", ["l1", "v3", "v4"], [1, 0], ["l5", "l6"]],
        ["Annotate", ["b0", unroll], ["meta_schedule.unroll_explicit"], []],
        ["EnterPostproc", [], [], []],
        ["Parallel", ["l5"], [], []],
    ]
    return canonical_json([instructions, [[2, [64 // tile, tile]]]])


def record(**changes: Any) -> Record:
    """A successful record; `changes` are fields to set otherwise."""
    values: dict[str, Any] = {
        "workload": HASHES[0],
        "trace": trace(),
        "seconds": (0.001, 0.0011, 0.0009),
        "error": None,
        "fingerprint": "x86-avx2-2-abc123",
        "target": {"kind": "llvm", "mcpu": "haswell", "num-cores": 2},
        "device": "Some CPU",
        "threads": 2,
        "tvm_version": "0.27.0",
        "tool_version": "0.1.0",
        "seed": 1,
        "created": "2025-01-31T12:00:00.000000Z",
        "run": "run-1",
    }
    return Record(**{**values, **changes})


def failed(**changes: Any) -> Record:
    """A failed record."""
    return record(**{"seconds": (), "error": "the compiler ran out of time", **changes})


def store_with(path: Path, records: list[Record]) -> Store:
    """A store that holds WORKLOADS and `records`."""
    store = Store(path)
    for workload in WORKLOADS:
        store.add_workload(workload)
    store.add_many(records)
    return store


def contents(path: Path) -> tuple[list[Any], list[Any]]:
    """Everything that matters in a store's file, in an order that does not depend on how it came there."""
    connection = sqlite3.connect(path)
    try:
        workloads = connection.execute("SELECT hash, name, digest FROM workloads ORDER BY hash").fetchall()
        records = connection.execute("SELECT id, workload, fingerprint, cost, rest FROM records ORDER BY id").fetchall()
    finally:
        connection.close()
    return workloads, records


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=12)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_TIMES = st.datetimes().map(lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%fZ")).filter(lambda t: len(t) == 27)


_PROVENANCE = st.builds(
    Provenance,
    trials=st.none() | st.integers(1, 10**6),
    governor=st.none() | _TEXT,
    clock_mhz=st.none() | st.floats(1, 1e5),
    celsius=st.none() | st.floats(-50, 150),
    throttled=st.sampled_from([None, True, False]),
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any valid record, from a small set of workloads, fingerprints and traces so that they meet."""
    ok = draw(st.booleans())
    return record(
        workload=draw(st.sampled_from(HASHES)),
        fingerprint=draw(st.sampled_from(["x86-avx2-2-abc123", "jetson-orin-6-def456"])),
        trace=trace(draw(st.sampled_from([1, 2, 4])), draw(st.integers(0, 2))),
        seconds=tuple(draw(st.lists(st.floats(1e-9, 1e3, exclude_min=True), min_size=1, max_size=4))) if ok else (),
        error=None if ok else draw(_TEXT.filter(bool)),
        threads=draw(st.integers(0, 64)),
        device=draw(_TEXT),
        seed=draw(st.none() | st.integers(-(2**40), 2**40)),
        created=draw(_TIMES),
        checked=draw(st.sampled_from([None, True, False])),
        run=draw(_TEXT),
        extra=draw(st.dictionaries(_TEXT, _JSON, max_size=3)),
        provenance=draw(st.just(NOTHING_KNOWN) | _PROVENANCE),
        author=draw(st.sampled_from(["", "Ada", "Bob <bob@example.org>"])),
    )
