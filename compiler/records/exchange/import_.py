"""Files into a store: what is sound is kept, what is not is reported; importing twice changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compiler.errors import EdgetuneError
from compiler.records.exchange.chunks import (
    Checkers,
    Kernel,
    Row,
    check_lines,
    chunks_of,
    chunks_of_lines,
    processes_for,
)
from compiler.records.exchange.export import store_lines
from compiler.records.exchange.layout import WORKLOADS_FOLDER, workload_file
from compiler.records.exchange.metaschedule import RECORD_FILE, WORKLOAD_FILE, import_metaschedule
from compiler.records.exchange.report import ImportReport
from compiler.records.rows import FINGERPRINT, WORKLOAD
from compiler.records.store import FILE_NAME, Store

BATCH = 4_000  # records a transaction: other writers wait for a tenth of a second, not for the whole file
WORKLOADS_BATCH = 100


def import_logs(
    store: Store,
    source: Path | str,
    *,
    fingerprint: str | None = None,
    device: str | None = None,
    target: Mapping[str, Any] | None = None,
    origin: str | None = None,
) -> ImportReport:
    """Imports a JSON lines file, a folder of them, another store (its folder or its file), or stock MetaSchedule's two
    files (their folder, or either file).

    fingerprint, device, target: where MetaSchedule's records were measured, since its files do not say; without a
    fingerprint they are kept as "unknown". Lines of our own format say it themselves, and these arguments leave them
    alone. origin: what the store is to say of where the records came from (default: the source's path). Raises
    EdgetuneError when there is nothing to read or the store cannot be written; a bad line is no error but
    an entry of the report.
    """
    path = Path(source)
    origin = origin or str(path.absolute())
    report = ImportReport()
    folder = path.parent if path.name in (WORKLOAD_FILE, RECORD_FILE) else path
    if (folder / RECORD_FILE).is_file() and (folder / WORKLOAD_FILE).is_file():
        import_metaschedule(
            store, folder / WORKLOAD_FILE, folder / RECORD_FILE, report,
            fingerprint=fingerprint, device=device, target=target, origin=origin,
        )  # fmt: skip
    elif path.name in (WORKLOAD_FILE, RECORD_FILE):
        raise EdgetuneError(f"{WORKLOAD_FILE} and {RECORD_FILE} belong together, and {folder} holds only one of them")
    elif path.is_file() and path.name == FILE_NAME:
        import_store(store, path, report, origin=origin)
    elif (path / FILE_NAME).is_file():
        import_store(store, path / FILE_NAME, report, origin=origin)
    elif path.is_dir():
        files = sorted(file for file in path.rglob("*.jsonl") if file.is_file())
        if not files:
            raise EdgetuneError(f"{path} holds no .jsonl file and no {RECORD_FILE}")
        import_files(store, files, report, origin=origin)
    else:
        import_files(store, [path], report, origin=origin)
    return report


def import_file(
    store: Store, path: Path, report: ImportReport, *, only: str | None = None, origin: str | None = None
) -> None:
    """`import_files` of one file."""
    import_files(store, [path], report, only=only, origin=origin or str(path.absolute()))


def import_files(
    store: Store, files: Sequence[Path], report: ImportReport, *, only: str | None = None, origin: str
) -> None:
    """Imports files of JSON lines into `store` and counts in `report`; with `only`, just that fingerprint's records.

    A record needs its workload in one of the files, before or after it, in the folder of workloads that lies beside its
    own (`layout`), or in the store. origin: as for `import_logs`. Raises EdgetuneError when a file cannot be read.
    """
    # Workloads first, so that records need not wait for them.
    files = sorted(files, key=lambda file: file.parent.name != WORKLOADS_FOLDER)
    report.files += len(files)
    into = _Into(store, report, only, origin)
    with Checkers(processes_for(sum(_size(file) for file in files))) as checkers:
        for chunk, found in checkers.check(chunks_of(files)):
            for number, item in found:
                into.take(chunk.file, number, item)
    into.finish()


def import_store(store: Store, path: Path, report: ImportReport, *, origin: str) -> None:
    """Imports all that another store's file holds. It is checked like lines of a file: that store may be anybody's."""
    if store.path.exists() and store.path.samefile(path):
        raise EdgetuneError(f"{path} is the store that would take the records in")
    report.files += 1
    into = _Into(store, report, None, origin)
    with Store(path) as other, Checkers(processes_for(_size(path))) as checkers:
        for _, found in checkers.check(chunks_of_lines(path, store_lines(other))):
            for number, item in found:
                into.take(path, number, item)
    into.finish()


class _Into:
    """A store that takes in what lines hold, a batch in a transaction."""

    def __init__(self, store: Store, report: ImportReport, only: str | None, origin: str) -> None:
        self._store = store
        self._report = report
        self._only = only
        self._origin = origin
        self._known: set[str] = set()
        self._waiting: list[tuple[Path, int, Row]] = []
        self._workloads: list[Kernel] = []
        self._rows: list[Row] = []

    def take(self, file: Path, number: int, item: Row | Kernel | str) -> None:
        """Keeps one line's record or workload, or notes why not."""
        if isinstance(item, str):
            self._report.skip(file.name, number, item)
        elif isinstance(item, Kernel):
            self._known.add(item.workload.hash)
            self._workloads.append(item)
            if len(self._workloads) >= WORKLOADS_BATCH:
                self._keep_workloads()
        elif self._only is not None and item[FINGERPRINT] != self._only:
            self._report.passed_over += 1
        elif self._has(item[WORKLOAD]) or self._beside(file, item[WORKLOAD]):
            self._rows.append(item)
            if len(self._rows) >= BATCH:
                self._keep_rows()
        else:
            self._waiting.append((file, number, item))

    def finish(self) -> None:
        """Keeps what is left; records whose workload came after them as well."""
        for file, number, row in self._waiting:
            if row[WORKLOAD] in self._known:
                self._rows.append(row)
            else:
                reason = f"workload {row[WORKLOAD]} is neither in the file nor in the store"
                self._report.skip(file.name, number, reason)
        self._keep_workloads()
        self._keep_rows()

    def _has(self, workload: str) -> bool:
        if workload not in self._known:
            if self._store.workload_packed(workload) is None:
                return False
            self._known.add(workload)
        return True

    def _beside(self, file: Path, workload: str) -> bool:
        """Whether the folder of workloads beside the file's own holds the workload, which is then taken."""
        path = workload_file(file.parent.parent, workload)
        if not path.is_file():
            return False
        for chunk in chunks_of([path]):
            for number, item in check_lines(chunk.first, chunk.data):
                if isinstance(item, (Kernel, str)):  # it is no place for records
                    self.take(path, number, item)
        return workload in self._known

    def _keep_workloads(self) -> None:
        self._report.workloads_added += self._store.add_workloads(self._workloads)
        self._workloads.clear()

    def _keep_rows(self) -> None:
        self._keep_workloads()
        for start in range(0, len(self._rows), BATCH):
            batch = self._rows[start : start + BATCH]
            added = self._store.add_rows(batch, origin=self._origin)
            self._report.added += added
            self._report.known += len(batch) - added
        self._rows.clear()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except (OSError, ValueError):  # reading it says what is wrong
        return 0
