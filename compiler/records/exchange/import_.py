"""Files into a store: what is sound is kept, what is not is reported; importing twice changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compiler.errors import EdgetuneError
from compiler.records.exchange.lines import MAX_LINE_BYTES, read_line
from compiler.records.exchange.metaschedule import RECORD_FILE, WORKLOAD_FILE, import_metaschedule
from compiler.records.exchange.reading import numbered_lines, reason_of
from compiler.records.exchange.report import ImportReport
from compiler.records.record import Record
from compiler.records.store import Store

BATCH = 1_000  # records a transaction: other writers wait for milliseconds, not for the whole file


def import_logs(
    store: Store,
    source: Path | str,
    *,
    fingerprint: str | None = None,
    device: str | None = None,
    target: Mapping[str, Any] | None = None,
    origin: str | None = None,
) -> ImportReport:
    """Imports a JSON lines file, a folder of them, or stock MetaSchedule's two files (their folder, or either file).

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
    elif path.is_dir():
        files = sorted(file for file in path.rglob("*.jsonl") if file.is_file())
        if not files:
            raise EdgetuneError(f"{path} holds no .jsonl file and no {RECORD_FILE}")
        for file in files:
            import_file(store, file, report, origin=origin)
    else:
        import_file(store, path, report, origin=origin)
    return report


def import_file(
    store: Store, path: Path, report: ImportReport, *, only: str | None = None, origin: str | None = None
) -> None:
    """Imports one file of JSON lines into `store` and counts in `report`; with `only`, just that fingerprint's records.

    A record needs its workload in the file, before or after it, or in the store. origin: as for `import_logs`.
    """
    origin = origin or str(path.absolute())
    report.files += 1
    known: set[str] = set()
    waiting: list[tuple[int, Record]] = []
    batch: list[Record] = []

    def flush() -> None:
        added = store.add_many(batch, checked=True, origin=origin)
        report.added += added
        report.known += len(batch) - added
        batch.clear()

    for number, line, whole in numbered_lines(path):
        if line is not None and not line.strip():
            continue
        try:
            if line is None:
                raise EdgetuneError(f"the line is longer than {MAX_LINE_BYTES} bytes")
            item = read_line(line)
        except EdgetuneError as error:
            report.skip(path.name, number, reason_of(error, whole))
            continue
        if not isinstance(item, Record):
            workload, packed = item
            report.workloads_added += store.add_workload(workload, imported=True, packed=packed)
            known.add(workload.hash)
        elif only is not None and item.fingerprint != only:
            report.passed_over += 1
        elif item.workload in known or store.workload_packed(item.workload) is not None:
            known.add(item.workload)
            batch.append(item)
            if len(batch) >= BATCH:
                flush()
        else:
            waiting.append((number, item))
    for number, record in waiting:
        if record.workload in known:
            batch.append(record)
        else:
            report.skip(path.name, number, f"workload {record.workload} is neither in the file nor in the store")
    flush()
