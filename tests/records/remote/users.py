"""Users with a store each, who push and pull."""

from __future__ import annotations

import io
from pathlib import Path

from compiler.records.exchange.export import export_stream
from compiler.records.record import Record
from compiler.records.store import Store
from tests.records.samples import HASHES, record, store_with, trace

FINGERPRINT = "x86-avx2-2-abc123"
OTHER = "jetson-orin-6-def456"


def some(count: int, start: int = 0, **changes: object) -> list[Record]:
    """`count` records of three kernels, alike in nothing but what `changes` says."""
    return [
        record(**{"seed": i, "trace": trace(1, i % 7), "workload": HASHES[i % 3], **changes})
        for i in range(start, start + count)
    ]


def user(folder: Path, name: str, records: list[Record] | None = None) -> Store:
    """A store of this name with these records; one without any holds no kernels either."""
    if records is None:
        return Store(folder / name / "records.db")
    return store_with(folder / name / "records.db", records)


def exported(store: Store) -> bytes:
    """Everything that a store would share, as an export writes it."""
    file = io.BytesIO()
    export_stream(store, file)
    return file.getvalue()
