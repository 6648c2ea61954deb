"""A store as files: sorted, stable, and complete in themselves. Exporting again gives the same bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

from compiler.errors import EdgetuneError
from compiler.records.exchange.layout import records_file, workload_file
from compiler.records.exchange.lines import row_line, workload_line
from compiler.records.rows import FINGERPRINT, WORKLOAD
from compiler.records.store import Store


@dataclass
class ExportReport:
    """What was written: counts of records and workloads, and the files."""

    records: int = 0
    workloads: int = 0
    files: list[Path] = field(default_factory=list)


def export_file(
    store: Store, path: Path | str, *, fingerprint: str | None = None, top: int | None = None, author: str | None = None
) -> ExportReport:
    """Writes one file of JSON lines, each workload followed by its records, sorted; replaces the file in one step.

    fingerprint: only that one's records, and the workloads they belong to. top: only the best so many of each workload
    and fingerprint. author: who the records that were measured here are said to be by, where they do not say it yet.
    Raises EdgetuneError when the file cannot be written; what was there before then stays.
    """
    path = Path(path)
    with replacing(path) as file:
        report = export_stream(store, file, fingerprint=fingerprint, top=top, author=author)
    report.files.append(path)
    return report


def export_stream(
    store: Store, file: BinaryIO, *, fingerprint: str | None = None, top: int | None = None, author: str | None = None
) -> ExportReport:
    """Writes the lines of `export_file` to an open file."""
    report = ExportReport()
    last = None
    for workload, _fingerprint, lines in _groups(store, fingerprint, top, author):
        if workload != last:
            file.write(_workload(store, workload))
            report.workloads += 1
            last = workload
        report.records += _write(file, lines)
    return report


def export_folder(
    store: Store,
    folder: Path | str,
    *,
    fingerprint: str | None = None,
    top: int | None = None,
    author: str | None = None,
) -> ExportReport:
    """Writes the files of a folder of logs (see `layout`): records by fingerprint and kernel, and the kernels.

    A file that exists is replaced by what this store knows: import the folder
    first to add to it.
    """
    folder = Path(folder)
    report = ExportReport()
    written: set[str] = set()
    for workload, device, lines in _groups(store, fingerprint, top, author):
        path = records_file(folder, device, workload)
        with replacing(path) as file:
            report.records += _write(file, lines)
        report.files.append(path)
        if workload not in written:
            written.add(workload)
            path = workload_file(folder, workload)
            with replacing(path) as file:
                file.write(_workload(store, workload))
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


def store_lines(store: Store) -> Iterator[bytes]:
    """The lines of `export_file`, one after the other."""
    last = None
    for workload, _fingerprint, lines in _groups(store, None, None, None):
        if workload != last:
            yield _workload(store, workload)
            last = workload
        yield from lines


def _groups(
    store: Store, fingerprint: str | None, top: int | None, author: str | None
) -> Iterator[tuple[str, str, Iterable[bytes]]]:
    """(workload, fingerprint, the lines of its records), sorted by both; records sorted by trace, time and id."""
    if top is None:
        stream = store.record_rows(_key_and_line, fingerprint=fingerprint, author=author)
        for (workload, device), found in groupby(stream, key=itemgetter(0)):
            yield workload, device, (line for _, line in found)
        return
    for workload, device in sorted((s.workload, s.fingerprint) for s in store.summary(fingerprint)):
        best = {record.id for record in store.top(workload, device, top)}
        if best:
            yield workload, device, _lines_of(store, workload, device, best, author)


def _lines_of(store: Store, workload: str, device: str, ids: set[str], author: str | None) -> Iterator[bytes]:
    def chosen(row: tuple[Any, ...]) -> bytes | None:
        return row_line(row) if row[0] in ids else None

    return filter(None, store.record_rows(chosen, workload=workload, fingerprint=device, author=author))


def _key_and_line(row: tuple[Any, ...]) -> tuple[tuple[str, str], bytes]:
    return (row[WORKLOAD], row[FINGERPRINT]), row_line(row)


def _workload(store: Store, workload: str) -> bytes:
    name, packed = store.workload_packed(workload) or ("", b"")
    return workload_line(workload, name, packed)


def _write(file: BinaryIO, lines: Iterable[bytes]) -> int:
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007
        file.write(line)
    return count
