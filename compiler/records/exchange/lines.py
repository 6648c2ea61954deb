"""The shared format: one JSON object a line, self-contained, content-addressed, in canonical form.

A workload line holds a kernel's IR once (zlib, base64); a record line holds everything about one trial except that IR.
Every line names its schema, and lines of older schemas stay readable.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Any

import msgspec

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes, parse_strict
from compiler.records.record import (
    FIELDS,
    MAX_IR_BYTES,
    MAX_TRACE_BYTES,
    Record,
    Workload,
    check_fields,
    check_workload,
)
from compiler.records.trace_rules import check_trace

SCHEMA = 1
MAX_LINE_BYTES = 32 << 20


class WorkloadLine(msgspec.Struct, tag="workload", tag_field="kind", forbid_unknown_fields=True, kw_only=True):
    """A kernel; `ir` is base64 of zlib of TVM's JSON text."""

    schema: int
    hash: str
    name: str
    ir: str


class RecordLine(msgspec.Struct, tag="record", tag_field="kind", forbid_unknown_fields=True, kw_only=True):
    """A trial: Record's fields, `trace` as the JSON value that it is, and `id`, the SHA-256 of all the others."""

    schema: int
    id: str
    workload: str
    trace: list[Any]
    seconds: list[float]
    error: str | None
    fingerprint: str
    target: dict[str, Any]
    device: str
    threads: int
    tvm_version: str
    tool_version: str
    seed: int | None
    created: str
    checked: bool | None
    run: str
    extra: dict[str, Any]


def record_line(record: Record) -> bytes:
    """The line of a record, newline included."""
    return canonical_bytes({"kind": "record", "schema": SCHEMA, "id": record.id, **record.content()}) + b"\n"


def workload_line(workload: str, name: str, packed_ir: bytes) -> bytes:
    """The line of a workload, newline included; `packed_ir` is the zlib-packed text, as the store keeps it."""
    ir = base64.b64encode(packed_ir).decode("ascii")
    return canonical_bytes({"kind": "workload", "schema": SCHEMA, "hash": workload, "name": name, "ir": ir}) + b"\n"


def read_line(line: bytes) -> Record | tuple[Workload, bytes]:
    """A line's record, or its workload with the packed IR. Raises EdgetuneError, in one line, saying what is wrong.

    What comes back has been checked completely: form, bounds, the record's id against its content, and every
    instruction and annotation of the trace against the lists of what is allowed.
    """
    value = parse_strict(line)
    if not isinstance(value, dict):
        raise EdgetuneError("the line is not a JSON object")
    schema = value.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise EdgetuneError("the line has no schema number: it is not an edgetune log")
    if schema > SCHEMA:
        raise EdgetuneError(f"schema {schema} is newer than this edgetune reads ({SCHEMA}): update edgetune")
    try:
        typed = msgspec.convert(value, WorkloadLine | RecordLine)
    except msgspec.ValidationError as error:
        raise EdgetuneError(" ".join(str(error).split())[:300]) from None
    return _record(typed) if isinstance(typed, RecordLine) else _workload(typed)


def _record(line: RecordLine) -> Record:
    values = {name: getattr(line, name) for name in FIELDS}
    values["trace"] = canonical_bytes(line.trace).decode("utf-8")
    values["seconds"] = tuple(line.seconds)
    record = Record(**values)
    check_fields(record)
    check_trace(line.trace)
    if len(record.trace) > MAX_TRACE_BYTES:
        raise EdgetuneError(f"the trace is larger than {MAX_TRACE_BYTES} bytes")
    if record.id != line.id:
        raise EdgetuneError("the id does not match the content: the line was changed")
    return record


def _workload(line: WorkloadLine) -> tuple[Workload, bytes]:
    packed, text = unpack_ir(line.ir)
    workload = Workload(hash=line.hash, name=line.name, ir=text)
    check_workload(workload)
    return workload, packed


def unpack_ir(field: str) -> tuple[bytes, str]:
    """The packed bytes and the text of a workload line's `ir`; never unpacks more than MAX_IR_BYTES."""
    try:
        packed = base64.b64decode(field.encode("ascii"), validate=True)
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, MAX_IR_BYTES)
        if not unpacker.eof or unpacker.unused_data:
            raise EdgetuneError(f"the IR is cut off, followed by something, or larger than {MAX_IR_BYTES} bytes")
        return packed, data.decode("utf-8")
    except (UnicodeError, binascii.Error, zlib.error):
        raise EdgetuneError("the IR is not base64 of zlib of text") from None
