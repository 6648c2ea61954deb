"""A store as files: sorted, stable, and complete in themselves. Exporting again gives the same bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from compiler.errors import EdgetuneError
from compiler.records.exchange.lines import record_line, workload_line
from compiler.records.record import Record
from compiler.records.store import Store


@dataclass
class ExportReport:
    """What was written: counts of records and workloads, and the files."""

    records: int = 0
    workloads: int = 0
    files: list[Path] = field(default_factory=list)


def export_file(
    store: Store, path: Path | str, *, fingerprint: str | None = None, top: int | None = None
) -> ExportReport:
    """Writes one file of JSON lines, each workload followed by its records, sorted; replaces the file in one step.

    fingerprint: only that one's records, and the workloads they belong to. top: only the best so many of each workload
    and fingerprint. Raises EdgetuneError when the file cannot be written; what was there before then stays.
    """
    path = Path(path)
    with replacing(path) as file:
        report = export_stream(store, file, fingerprint=fingerprint, top=top)
    report.files.append(path)
    return report


def export_stream(
    store: Store, file: BinaryIO, *, fingerprint: str | None = None, top: int | None = None
) -> ExportReport:
    """Writes the lines of `export_file` to an open file."""
    report = ExportReport()
    last = None
    for workload, _fingerprint, records in _groups(store, fingerprint, top):
        if workload != last:
            file.write(_workload(store, workload))
            report.workloads += 1
            last = workload
        report.records += _write(file, records)
    return report


def export_folder(
    store: Store, folder: Path | str, *, fingerprint: str | None = None, top: int | None = None
) -> ExportReport:
    """Writes FOLDER/<fingerprint>/<workload>.jsonl, the layout of `tuning_logs/`: see `export_file`.

    One file per kernel, so that two people's additions merge in git where they touched different kernels. A file that
    exists is replaced by what this store knows: import the folder first to add to it.
    """
    report = ExportReport()
    for workload, device, records in _groups(store, fingerprint, top):
        path = Path(folder) / device / f"{workload}.jsonl"
        with replacing(path) as file:
            file.write(_workload(store, workload))
            report.records += _write(file, records)
        report.workloads += 1
        report.files.append(path)
    return report


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` once the body is through; if it raises, `path` stays as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise EdgetuneError(f"cannot write {path}: {error.strerror}") from None
    finally:
        with suppress(OSError):  # it is not there when all went well, nor when its folder could not be made
            temporary.unlink()


def _groups(store: Store, fingerprint: str | None, top: int | None) -> Iterator[tuple[str, str, Iterable[Record]]]:
    """(workload, fingerprint, its records), sorted by both; records sorted by trace, time and id."""
    if top is None:
        stream = store.records(fingerprint=fingerprint)
        for (workload, device), records in groupby(stream, key=lambda r: (r.workload, r.fingerprint)):
            yield workload, device, records
        return
    for workload, device in sorted((s.workload, s.fingerprint) for s in store.summary(fingerprint)):
        best = store.top(workload, device, top)
        if best:
            yield workload, device, sorted(best, key=lambda r: (r.trace_id, r.created, r.id))


def _workload(store: Store, workload: str) -> bytes:
    name, packed = store.workload_packed(workload) or ("", b"")
    return workload_line(workload, name, packed)


def _write(file: BinaryIO, records: Iterable[Record]) -> int:
    count = 0
    for record in records:
        file.write(record_line(record))
        count += 1
    return count
