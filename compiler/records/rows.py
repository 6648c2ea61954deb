"""Record and Workload as rows of the store's tables, and back."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import msgspec

from compiler.records.canonical import canonical_bytes
from compiler.records.provenance import NOTHING_KNOWN, read_provenance
from compiler.records.record import Record, Workload

RECORD_COLUMNS = (
    "id, workload, fingerprint, trace_id, created, cost, tvm_version, device, threads, target, run, rest, trace, "
    "author, spent"
)
WORKLOAD, FINGERPRINT, COST, AUTHOR = (
    RECORD_COLUMNS.split(", ").index(name) for name in ("workload", "fingerprint", "cost", "author")
)
"""Where these are in a row."""
WORKLOAD_COLUMNS = "hash, name, ir, digest, imported"
Row = tuple[Any, ...]
"""The values of RECORD_COLUMNS."""

_LEVEL = 1  # level 6 takes four times as long and saves a tenth of the bytes on traces
_REST = ("seconds", "error", "tool_version", "seed", "checked", "extra")


def record_row(r: Record) -> Row:
    """The values of RECORD_COLUMNS."""
    target = canonical_bytes(r.target).decode("utf-8")
    others = {name: getattr(r, name) for name in _REST}
    if r.provenance != NOTHING_KNOWN:
        others["provenance"] = r.provenance
    rest = canonical_bytes(others).decode("utf-8")
    return (
        r.id, r.workload, r.fingerprint, r.trace_id, r.created, r.cost,
        r.tvm_version, r.device, r.threads, target, r.run, rest, packed_trace(r.trace.encode("utf-8")),
        r.author, r.provenance.trials,
    )  # fmt: skip


def packed_trace(trace: bytes) -> bytes:
    """A trace's text as a row holds it."""
    return zlib.compress(trace, _LEVEL)


def row_record(row: tuple[Any, ...]) -> Record:
    """The record of a row of RECORD_COLUMNS."""
    (
        _id, workload, fingerprint, _trace_id, created, _cost,
        tvm_version, device, threads, target, run, rest, trace, author, _spent,
    ) = row  # fmt: skip
    other = msgspec.json.decode(rest)
    other["seconds"] = tuple(other["seconds"])
    if "provenance" in other:
        other["provenance"] = read_provenance(other["provenance"])
    return Record(
        workload=workload, trace=zlib.decompress(trace).decode("utf-8"), fingerprint=fingerprint, device=device,
        threads=threads, target=msgspec.json.decode(target), tvm_version=tvm_version, created=created, run=run,
        author=author, **other,
    )  # fmt: skip


def workload_row(w: Workload, imported: bool, packed: bytes | None = None) -> tuple[Any, ...]:
    """The values of WORKLOAD_COLUMNS; `packed` is the IR's zlib bytes where they exist already."""
    text = w.ir.encode("utf-8")
    return (w.hash, w.name, packed or zlib.compress(text, 6), hashlib.sha256(text).hexdigest(), int(imported))


def row_workload(row: tuple[Any, ...]) -> Workload:
    """The workload of a row that starts with hash, name, ir."""
    return Workload(hash=row[0], name=row[1], ir=zlib.decompress(row[2]).decode("utf-8"))
