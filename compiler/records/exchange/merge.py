"""Logs of any kind made into one: the union of what they hold, each record once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compiler.records.exchange.export import ExportReport, export_file, export_folder
from compiler.records.exchange.import_ import import_logs
from compiler.records.exchange.report import ImportReport
from compiler.records.store import Store
from compiler.scratch import scratch_folder


@dataclass(frozen=True)
class MergeReport:
    """What each source brought, and what was written."""

    sources: list[ImportReport]
    written: ExportReport


def merge_logs(sources: Sequence[Path | str], destination: Path) -> MergeReport:
    """Merges files, folders of logs and stores into one file (its name ends in .jsonl) or one folder of logs.

    Neither the order of the sources nor how often one is named changes a byte of what is written, and merging what was
    merged gives the same as merging all at once. A measurement is kept once, by its content; different measurements of
    one schedule are all kept, and `Store.best` decides between them. Raises EdgetuneError when a source cannot be read
    or the destination cannot be written.
    """
    with scratch_folder("merge") as folder, Store(folder / "merged.db") as store:
        reports = [import_logs(store, source) for source in sources]
        write = export_file if destination.suffix == ".jsonl" else export_folder
        return MergeReport(reports, write(store, destination))
