"""Stock MetaSchedule's JSON database: [hash, base64 IR] a line in one file, [workload's line, record] in the other.

A record is [trace, seconds or null, target or null, arguments or null]. The files do not say on which machine, with how
many threads or when something was measured, and a failed trial is one of 1e10 seconds.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes, check_json, parse_strict
from compiler.records.exchange.lines import MAX_LINE_BYTES
from compiler.records.exchange.reading import numbered_lines, reason_of
from compiler.records.exchange.report import ImportReport
from compiler.records.record import (
    MAX_IR_BYTES,
    UNKNOWN_FINGERPRINT,
    UNKNOWN_TIME,
    Record,
    Workload,
    check_record,
    check_workload,
)
from compiler.records.store import Store
from compiler.records.trace_rules import check_trace, normalise_trace

WORKLOAD_FILE = "database_workload.json"
RECORD_FILE = "database_tuning_record.json"

FAILED_SECONDS = 1e10
_FAILED = "failed; MetaSchedule's file does not say why"
_BATCH = 1_000


def import_metaschedule(
    store: Store,
    workload_file: Path,
    record_file: Path,
    report: ImportReport,
    *,
    fingerprint: str | None = None,
    device: str | None = None,
    target: Mapping[str, Any] | None = None,
    origin: str | None = None,
) -> None:
    """Imports the two files of a JSONDatabase and counts in `report`.

    fingerprint, device: of the machine that measured. target: its TVM target; records of another target kind are then
    skipped, and records without a target get this one. Bad lines are skipped with their reason. origin: as for
    `import_logs`.
    """
    origin = origin or str(record_file.absolute())
    report.files += 2
    if fingerprint is None:
        report.note(
            f"imported with the fingerprint '{UNKNOWN_FINGERPRINT}': the files do not say on what they were measured, "
            "so no look-up finds these records; import again with --fingerprint to use them"
        )
    workloads: list[tuple[str, str] | None] = []
    for number, line, whole in numbered_lines(workload_file):
        try:
            workload = _workload(_parse(line))
        except EdgetuneError as error:
            report.skip(workload_file.name, number, reason_of(error, whole))
            workloads.append(None)  # records point at lines by number
            continue
        report.workloads_added += store.add_workload(workload, imported=True)
        workloads.append((workload.hash, _tvm_version(workload.ir)))

    batch: list[Record] = []
    for number, line, whole in numbered_lines(record_file):
        if line is not None and not line.strip():
            continue
        try:
            batch.append(_record(_parse(line), workloads, fingerprint, device, target))
        except EdgetuneError as error:
            report.skip(record_file.name, number, reason_of(error, whole))
        if len(batch) >= _BATCH:
            _flush(store, batch, report, origin)
    _flush(store, batch, report, origin)


def _flush(store: Store, batch: list[Record], report: ImportReport, origin: str) -> None:
    added = store.add_many(batch, checked=True, origin=origin)
    report.added += added
    report.known += len(batch) - added
    batch.clear()


def _parse(line: bytes | None) -> Any:
    if line is None:
        raise EdgetuneError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    return parse_strict(line, controls=True)  # index maps are kept as text of several lines


def _workload(value: Any) -> Workload:
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)):
        raise EdgetuneError("not a workload of MetaSchedule ([hash, IR])")
    if not (value[0].isascii() and value[0].isdigit() and len(value[0]) <= 20 and int(value[0]) < 2**64):
        raise EdgetuneError("the workload's hash is not a 64-bit number")
    try:
        data = base64.b64decode(value[1], validate=True)
        size = int.from_bytes(data[:8], "little")  # TVM's stream writes a text's length before it
        if len(data) > MAX_IR_BYTES or size != len(data) - 8:
            raise EdgetuneError("the workload's IR is cut off or too large")
        graph = msgspec.json.decode(data[8:])
        ir = msgspec.json.encode(graph).decode("utf-8")  # without the blanks, which are most of it
    except (ValueError, binascii.Error, RecursionError):  # MsgspecError is a ValueError
        raise EdgetuneError("the workload's IR is not base64 of TVM's JSON") from None
    workload = Workload(hash=f"{int(value[0]):016x}", name="main", ir=ir)
    check_workload(workload)
    return workload


def _tvm_version(ir: str) -> str:
    metadata = json.loads(ir).get("metadata")
    version = metadata.get("tvm_version") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) and version.isprintable() and len(version) <= 100 else "unknown"


def _record(
    value: Any,
    workloads: list[tuple[str, str] | None],
    fingerprint: str | None,
    device: str | None,
    target: Mapping[str, Any] | None,
) -> Record:
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[1], list) and len(value[1]) == 4):
        raise EdgetuneError("not a record of MetaSchedule ([workload, [trace, seconds, target, arguments]])")
    index, (trace, seconds, own_target, arguments) = value
    if type(index) is not int or not 0 <= index < len(workloads):
        raise EdgetuneError("the record points at a workload that is not in the file")
    owner = workloads[index]
    if owner is None:
        raise EdgetuneError(f"the record's workload (line {index + 1}) was skipped")
    trace = normalise_trace(trace)
    check_trace(trace)
    repeats, error = _seconds(seconds)
    options = _target(own_target, target)
    cores = options.get("num-cores")
    record = Record(
        workload=owner[0], trace=canonical_bytes(trace).decode("utf-8"), seconds=repeats, error=error,
        fingerprint=fingerprint or UNKNOWN_FINGERPRINT, target=options, device=device or "unknown",
        threads=cores if type(cores) is int and cores > 0 else 0, tvm_version=owner[1], tool_version="metaschedule",
        created=UNKNOWN_TIME, extra={"source": "metaschedule", "arguments": arguments},
    )  # fmt: skip
    check_record(record)
    return record


def _seconds(value: Any) -> tuple[tuple[float, ...], str | None]:
    if value is None:
        return (), _FAILED
    if not (isinstance(value, list) and all(type(item) in (int, float) for item in value)):
        raise EdgetuneError("the seconds are not a list of numbers")
    if not value or all(item == FAILED_SECONDS for item in value):
        return (), _FAILED
    return tuple(float(item) for item in value), None


def _target(own: Any, given: Mapping[str, Any] | None) -> dict[str, Any]:
    if own is None:
        return dict(given or {})
    if not isinstance(own, dict):
        raise EdgetuneError("the target is not a JSON object")
    check_json(own, "the target")
    if given is not None and own.get("kind") != given.get("kind"):
        raise EdgetuneError(f"measured for target kind {str(own.get('kind'))[:40]!r}, not {given.get('kind')!r}")
    return own
