"""The shared format: one JSON object a line, self-contained, content-addressed, in canonical form.

A workload line holds a kernel's IR once (zlib, base64); a record line holds everything about one trial except that IR.
Every line names its schema, and lines of older schemas stay readable.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes, parse_strict
from compiler.records.exchange.known_traces import KnownTraces
from compiler.records.provenance import NOTHING_KNOWN, Provenance, read_provenance
from compiler.records.record import (
    FIELDS,
    MAX_IR_BYTES,
    MAX_TRACE_BYTES,
    Record,
    Workload,
    check_fields,
    check_plain_fields,
    check_small_object,
    check_workload,
    cost_of,
    trace_id,
)
from compiler.records.rows import Row, packed_trace, record_row
from compiler.records.trace_rules import check_trace

SCHEMA = 2
"""2 added `provenance` and `author`; a line without them is written as schema 1, as it always was."""
MAX_LINE_BYTES = 32 << 20


class WorkloadLine(msgspec.Struct, tag="workload", tag_field="kind", forbid_unknown_fields=True, kw_only=True):
    """A kernel; `ir` is base64 of zlib of TVM's JSON text."""

    schema: int
    hash: str
    name: str
    ir: str


class RecordLine(msgspec.Struct, tag="record", tag_field="kind", forbid_unknown_fields=True, kw_only=True):
    """A trial: Record's fields, `trace` as the JSON value that it is, and `id`, the SHA-256 of all the others but
    `kind`, `schema` and `author`."""

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
    provenance: Provenance | msgspec.UnsetType = msgspec.UNSET
    author: str | msgspec.UnsetType = msgspec.UNSET


class _Line(
    msgspec.Struct, tag="record", tag_field="kind", forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """RecordLine with the larger values as the bytes that they are."""

    schema: int
    id: str
    workload: str
    trace: msgspec.Raw
    seconds: tuple[float, ...]
    error: str | None
    fingerprint: str
    target: msgspec.Raw
    device: str
    threads: int
    tvm_version: str
    tool_version: str
    seed: int | None
    created: str
    checked: bool | None
    run: str
    extra: msgspec.Raw
    provenance: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    author: str = ""


class _Rest(msgspec.Struct):
    """What a row keeps as one JSON object."""

    seconds: msgspec.Raw
    error: msgspec.Raw
    tool_version: msgspec.Raw
    seed: msgspec.Raw
    checked: msgspec.Raw
    extra: msgspec.Raw
    provenance: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _RowRest(msgspec.Struct):
    """The same, made of a line."""

    seconds: tuple[float, ...]
    error: str | None
    tool_version: str
    seed: int | None
    checked: bool | None
    extra: msgspec.Raw
    provenance: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _RowLine(_Rest, tag="record", tag_field="kind", kw_only=True):
    """A line made of a row: what the row keeps as JSON goes through as it is."""

    schema: int
    id: str
    workload: str
    trace: msgspec.Raw
    fingerprint: str
    target: msgspec.Raw
    device: str
    threads: int
    tvm_version: str
    created: str
    run: str
    author: str | msgspec.UnsetType = msgspec.UNSET


_decode_rest = msgspec.json.Decoder(_Rest).decode
_decode = msgspec.json.Decoder(_Line).decode
_known_traces = KnownTraces()


def record_line(record: Record) -> bytes:
    """The line of a record, newline included."""
    content = record.content()
    if record.author:
        content["author"] = record.author
    schema = SCHEMA if "provenance" in content or record.author else 1
    return canonical_bytes({"kind": "record", "schema": schema, "id": record.id, **content}) + b"\n"


def row_line(row: Sequence[Any]) -> bytes:
    """The line of a row of RECORD_COLUMNS (compiler/records/rows.py): as `record_line` of its record, in less time."""
    (
        record_id, workload, fingerprint, _trace_id, created, _cost,
        tvm_version, device, threads, target, run, text, trace, author, _spent,
    ) = row  # fmt: skip
    rest = _decode_rest(text)
    line = _RowLine(
        seconds=rest.seconds,
        error=rest.error,
        tool_version=rest.tool_version,
        seed=rest.seed,
        checked=rest.checked,
        extra=rest.extra,
        provenance=rest.provenance,
        schema=1 if rest.provenance is msgspec.UNSET and not author else SCHEMA,
        id=record_id,
        workload=workload,
        trace=msgspec.Raw(_unpacked(trace)),
        fingerprint=fingerprint,
        target=msgspec.Raw(target),
        device=device,
        threads=threads,
        tvm_version=tvm_version,
        created=created,
        run=run,
        author=author or msgspec.UNSET,
    )
    return canonical_bytes(line) + b"\n"


def _unpacked(trace: bytes) -> bytes:
    """A row's trace; the row may be of a stranger's store, and unpack to more than any memory holds."""
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(trace, MAX_TRACE_BYTES)
    if not unpacker.eof:
        raise EdgetuneError(f"a trace in the store is cut off or larger than {MAX_TRACE_BYTES} bytes")
    return text


def workload_line(workload: str, name: str, packed_ir: bytes) -> bytes:
    """The line of a workload, newline included; `packed_ir` is the zlib-packed text, as the store keeps it."""
    ir = base64.b64encode(packed_ir).decode("ascii")
    return canonical_bytes({"kind": "workload", "schema": 1, "hash": workload, "name": name, "ir": ir}) + b"\n"


def read_line(line: bytes) -> Record | tuple[Workload, bytes]:
    """A line's record, or its workload with the packed IR. Raises EdgetuneError, in one line, saying what is wrong.

    What comes back has been checked completely: form, bounds, the record's id against its content, and every
    instruction and annotation of the trace against the lists of what is allowed.
    """
    parts = _canonical(line)
    if parts is None:
        return _read_fully(line)
    record = Record(
        workload=parts.workload,
        trace=bytes(parts.trace).decode("ascii"),
        seconds=parts.seconds,
        error=parts.error,
        fingerprint=parts.fingerprint,
        target=_object(bytes(parts.target)),
        device=parts.device,
        threads=parts.threads,
        tvm_version=parts.tvm_version,
        tool_version=parts.tool_version,
        seed=parts.seed,
        created=parts.created,
        checked=parts.checked,
        run=parts.run,
        extra=_object(bytes(parts.extra)),
        provenance=_provenance_of(parts),
        author=parts.author,
    )
    record.__dict__["id"] = parts.id  # the cached property: it has just been computed
    return record


def read_row(line: bytes) -> Row | tuple[Workload, bytes]:
    """As `read_line`, but a record as the row that `rows.record_row` makes of it, in half the time."""
    parts = _canonical(line)
    if parts is None:
        item = _read_fully(line)
        return record_row(item) if isinstance(item, Record) else item
    trace = bytes(parts.trace)
    rest = _RowRest(
        parts.seconds, parts.error, parts.tool_version, parts.seed, parts.checked, parts.extra, parts.provenance
    )
    return (
        parts.id, parts.workload, parts.fingerprint, trace_id(trace), parts.created,
        cost_of(parts.seconds, parts.error, parts.checked), parts.tvm_version, parts.device, parts.threads,
        bytes(parts.target).decode("utf-8"), parts.run, canonical_bytes(rest).decode("utf-8"), packed_trace(trace),
        parts.author, _provenance_of(parts).trials,
    )  # fmt: skip


def _read_fully(line: bytes) -> Record | tuple[Workload, bytes]:
    """`read_line` of a line of any form."""
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


def _canonical(line: bytes) -> _Line | None:
    """The parts of a record line in canonical form with a trace of known parts, checked completely: nearly every line,
    in a tenth of the time.

    None where the line is something else, or wrong: the full check then says what it is.
    """
    try:
        parts = _decode(line)
        if canonical_bytes(parts) != line or not 1 <= parts.schema <= SCHEMA:
            return None
        content = _content_of(line, parts)
        if content is None or hashlib.sha256(content).hexdigest() != parts.id:
            return None
        trace = bytes(parts.trace)
        if len(trace) > MAX_TRACE_BYTES or not trace.isascii() or not _known_traces.accepts(trace):
            return None
        _object(bytes(parts.target))
        _object(bytes(parts.extra))
        _provenance_of(parts)
        check_plain_fields(parts)
    except (msgspec.MsgspecError, EdgetuneError, RecursionError, UnicodeError):
        return None
    return parts


def _content_of(line: bytes, parts: _Line) -> bytes | None:
    """The bytes that the id is of: the canonical line without what is no content.

    None where it is not clear what is to be cut out. Of what comes before the id only `extra` could hold its bytes once
    more; whichever is cut, the id would then be of content that holds it. What lies between id and schema cannot hold
    those of the schema: texts have no bare quotes, and provenance has no such field.
    """
    start = 1
    if parts.author:
        author = canonical_bytes({"author": parts.author})[1:-1] + b","
        if not line.startswith(author, 1):
            return None
        start += len(author)
    named = b',"id":"' + parts.id.encode() + b'","kind":"record",'
    schema = b',"schema":%d,"seconds":[' % parts.schema
    at = line.find(named)
    after = at + len(named)
    end = line.find(schema, after - 1)
    if at < 0 or end < 0:
        return None
    return b"{" + line[start:at] + b"," + line[after:end] + b',"seconds":[' + line[end + len(schema) :]


@lru_cache(maxsize=512)
def _object(text: bytes) -> dict[str, Any]:
    """A JSON object that many records share (their target, nearly always). Raises EdgetuneError unless canonical."""
    value = parse_strict(text)
    if not isinstance(value, dict) or canonical_bytes(value) != text:
        raise EdgetuneError("not an object in canonical form")
    check_small_object(value, "value")
    return value


def _provenance_of(parts: _Line) -> Provenance:
    return NOTHING_KNOWN if parts.provenance is msgspec.UNSET else _provenance(bytes(parts.provenance))


@lru_cache(maxsize=512)
def _provenance(text: bytes) -> Provenance:
    found = read_provenance(_object(text))
    if found == NOTHING_KNOWN or canonical_bytes(found) != text:
        raise EdgetuneError("not in canonical form")
    return found


def _record(line: RecordLine) -> Record:
    values = {name: getattr(line, name) for name in FIELDS}
    values["trace"] = canonical_bytes(line.trace).decode("utf-8")
    values["seconds"] = tuple(line.seconds)
    if line.provenance is not msgspec.UNSET:
        values["provenance"] = line.provenance
    if line.author is not msgspec.UNSET:
        values["author"] = line.author
    record = Record(**values)
    if len(record.trace) > MAX_TRACE_BYTES:
        raise EdgetuneError(f"the trace is larger than {MAX_TRACE_BYTES} bytes")
    check_fields(record)
    check_trace(line.trace)
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
