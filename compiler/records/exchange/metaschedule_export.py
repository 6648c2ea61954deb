"""A fingerprint's records as stock MetaSchedule's JSON database, for whoever uses plain TVM.

Such a database knows neither devices nor checks: whatever lies in it competes, by the mean of its repeats. So only what
may be used goes in: the measurement that stands for each schedule, none that was found to be wrong or is quarantined;
failed trials as the 1e10 seconds that MetaSchedule itself writes. What it has no place for (provenance, threads, dates,
reasons) stays behind.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Container
from pathlib import Path
from typing import Any

import msgspec

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes
from compiler.records.exchange.export import ExportReport, replacing
from compiler.records.exchange.metaschedule import FAILED_SECONDS, RECORD_FILE, WORKLOAD_FILE
from compiler.records.record import Record
from compiler.records.store import Store

_HASH_DIGITS = 16  # MetaSchedule's hashes are 64 bits


def export_metaschedule(
    store: Store, folder: Path, fingerprint: str, *, top: int | None = None, workloads: Container[str] | None = None
) -> ExportReport:
    """Writes FOLDER/database_workload.json and FOLDER/database_tuning_record.json, in place of what is there.

    top: only the best so many schedules of each kernel, and no failed ones. workloads: only these. Raises
    EdgetuneError where nothing is left to write, or the files cannot be written.
    """
    report = ExportReport(files=[folder / WORKLOAD_FILE, folder / RECORD_FILE])
    known = [task.workload for task in store.summary(fingerprint) if len(task.workload) == _HASH_DIGITS]
    wanted = [workload for workload in known if workloads is None or workload in workloads]
    chosen = {workload: _chosen(store, workload, fingerprint, top) for workload in wanted}
    if not any(chosen.values()):
        raise EdgetuneError(f"no record of {fingerprint} can be used, so that there is nothing to export")
    with replacing(report.files[0]) as kernels, replacing(report.files[1]) as records:
        for workload, found in sorted(chosen.items()):
            if not found:
                continue
            _name, packed = store.workload_packed(workload) or ("", b"")
            kernels.write(_workload_line(workload, zlib.decompress(packed)))
            for record in found:
                records.write(_record_line(report.workloads, record))
            report.workloads += 1
            report.records += len(found)
    return report


def _chosen(store: Store, workload: str, fingerprint: str, top: int | None) -> list[Record]:
    best = store.top(workload, fingerprint, top if top is not None else -1)  # -1: SQLite's "all"
    if top is not None:
        return best
    known = {record.trace_id for record in best}
    failed: dict[str, Record] = {}
    for record in store.records(workload=workload, fingerprint=fingerprint):
        if record.error is not None and record.trace_id not in known:
            failed[record.trace_id] = record
    return best + list(failed.values())


def _workload_line(workload: str, ir: bytes) -> bytes:
    # TVM's stream writes a text's length before it.
    text = base64.b64encode(len(ir).to_bytes(8, "little") + ir).decode("ascii")
    return msgspec.json.encode([str(int(workload, 16)), text]) + b"\n"


def _record_line(index: int, record: Record) -> bytes:
    seconds: list[float] = list(record.seconds) or [FAILED_SECONDS]
    arguments: Any = record.extra.get("arguments")
    trace = msgspec.Raw(record.trace.encode("utf-8"))
    return canonical_bytes([index, [trace, seconds, dict(record.target) or None, arguments]]) + b"\n"
