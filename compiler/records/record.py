"""Workload and Record: what is kept of a kernel, and of one measurement of it."""

from __future__ import annotations

import hashlib
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from functools import cached_property, lru_cache
from typing import Any

import msgspec

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes, check_json, check_text, parse_strict
from compiler.records.provenance import NOTHING_KNOWN, Provenance, check_provenance

CHECK_RUN = "check"
"""`run` of a record that repeats another's measurement to say whether its result is right; it is no trial."""
UNKNOWN_TIME = "1970-01-01T00:00:00.000000Z"
"""`created` of a record whose source does not say when it was measured (stock MetaSchedule files)."""
UNKNOWN_FINGERPRINT = "unknown"
"""`fingerprint` of a record whose source does not say on what it was measured; no look-up for a device finds it."""

MAX_TRACE_BYTES = 4 << 20
MAX_IR_BYTES = 64 << 20
MAX_SMALL_BYTES = 64 << 10
MAX_REPEATS = 10_000
MAX_SECONDS = 1e6
MAX_ERROR_CHARS = 2_000

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_HASH = re.compile(r"[0-9a-f]{16,64}")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")


def now() -> str:
    """The present time as a record's `created`: UTC with microseconds; as text it sorts by time."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def clean_error(text: str) -> str:
    """`text` (a compiler's many lines, say) as a record's `error`: one line without control characters, bounded."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[:MAX_ERROR_CHARS] or "failed without a message"


@dataclass(frozen=True)
class Workload:
    """One kernel to tune.

    hash: lower-case hex of TVM's structural hash, opaque text to the store. name: for people, need not be unique.
    ir: TVM's JSON text of the IRModule {"main": PrimFunc}.
    """

    hash: str
    name: str
    ir: str


@dataclass(frozen=True)
class Record:
    """What one trial taught. Immutable, and identified by its content (`id`).

    workload: a Workload's hash. trace: canonical JSON text of Trace.as_json(), as `workload.trace_text` makes it.
    seconds: every repeat, in the order measured; empty for a failed trial, whose `error` then says why.
    fingerprint: targets' Fingerprint.id. target: the JSON config of the TVM target. threads: 0 where unknown.
    created: UTC as `now()` gives it. checked: was the result right, compared numerically (None: not compared).
    run: id of the tuning run, so that the same command can count what it has done. extra: JSON values for what has no
    field yet. provenance: in what state the machine was. author: who shares the record, empty unless they want to be
    named; it is no part of the content, so that naming oneself makes no other record of it.
    """

    workload: str
    trace: str
    seconds: tuple[float, ...]
    error: str | None
    fingerprint: str
    target: Mapping[str, Any]
    device: str
    threads: int
    tvm_version: str
    tool_version: str
    seed: int | None = None
    created: str = field(default_factory=now)
    checked: bool | None = None
    run: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    provenance: Provenance = NOTHING_KNOWN
    author: str = field(default="", compare=False)

    @cached_property
    def id(self) -> str:
        """SHA-256 (64 hex digits) of the canonical JSON of `content`."""
        return hashlib.sha256(canonical_bytes(self.content())).hexdigest()

    @cached_property
    def trace_id(self) -> str:
        """First 32 hex digits of the trace's SHA-256: equal for two measurements of one schedule."""
        return trace_id(self.trace)

    @property
    def median(self) -> float | None:
        """Median of the repeats in seconds (None for a failed trial): one lucky repeat cannot win with it."""
        return median_of(self.seconds)

    @property
    def cost(self) -> float | None:
        """What `best` compares: the median, or None when the trial failed or the result was found to be wrong."""
        return cost_of(self.seconds, self.error, self.checked)

    def content(self) -> dict[str, Any]:
        """Every field but the author as JSON types; `trace` as the JSON value that it is, not as text within text.

        Fields that came later are there only where they say something: the ids of older records stay.
        """
        result = {name: getattr(self, name) for name in FIELDS}
        result["trace"] = msgspec.Raw(self.trace.encode("utf-8"))
        if self.provenance != NOTHING_KNOWN:
            result["provenance"] = self.provenance
        return result

    def __hash__(self) -> int:
        return hash(self.id)


LATER_FIELDS = ("provenance", "author")
FIELDS = tuple(f.name for f in fields(Record) if f.name not in LATER_FIELDS)
"""The fields of every record line, since schema 1."""


def trace_id(trace: str | bytes) -> str:
    """The id that measurements of the same trace text share (see Record.trace_id); bytes are its UTF-8."""
    return hashlib.sha256(trace if isinstance(trace, bytes) else trace.encode("utf-8")).hexdigest()[:32]


def median_of(seconds: Sequence[float]) -> float | None:
    """Record.median of these repeats."""
    if len(seconds) == 3:  # nearly always, and in a third of the time
        return sorted(seconds)[1]
    return statistics.median(seconds) if seconds else None


def cost_of(seconds: Sequence[float], error: str | None, checked: bool | None) -> float | None:
    """Record.cost of a record with these fields."""
    return None if error is not None or checked is False else median_of(seconds)


_object_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode  # its values are checked, but not made


def check_workload(workload: Workload) -> None:
    """Raises EdgetuneError, in one line, unless the workload can be stored and shared."""
    _require(
        isinstance(workload.hash, str) and _HASH.fullmatch(workload.hash), "a workload's hash is 16 to 64 hex digits"
    )
    _text(workload.name, "the workload's name", 500)
    ir = workload.ir
    _require(type(ir) is str and 0 < len(ir) <= MAX_IR_BYTES, f"a workload's IR is text of 1 to {MAX_IR_BYTES} bytes")
    try:
        ir.encode("utf-8")
        well_formed = isinstance(_object_of(ir), dict)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        well_formed = False
    _require(well_formed, "the workload's IR is not TVM's JSON")


def check_record(record: Record) -> None:
    """Raises EdgetuneError, in one line, unless every field has its type and bounds and the trace is canonical JSON."""
    check_fields(record)
    check_trace_text(record.trace)


def check_fields(r: Record) -> None:
    """The part of `check_record` that looks at everything but the trace."""
    check_plain_fields(r)
    check_provenance(r.provenance)
    check_small_object(r.target, "target")
    check_small_object(r.extra, "extra")


def check_plain_fields(r: Any) -> None:
    """The part of `check_fields` that looks at what is no object; `r` is a Record, or has its fields."""
    shared = (r.workload, r.fingerprint, r.device, r.tvm_version, r.tool_version, r.run, r.author, r.threads)
    try:
        _check_shared(*shared)
    except TypeError:  # what has no hash is no text either
        _check_shared.__wrapped__(*shared)
    _require(r.seed is None or (_is_int(r.seed) and abs(r.seed) < 2**63), "seed is an integer or null")
    _require(r.checked is None or isinstance(r.checked, bool), "checked is true, false or null")
    _require(isinstance(r.created, str) and is_time(r.created), "created is UTC like 2025-01-31T12:00:00.000000Z")
    _require(
        isinstance(r.seconds, tuple) and len(r.seconds) <= MAX_REPEATS, f"seconds holds at most {MAX_REPEATS} repeats"
    )
    for repeat in r.seconds:
        _require(isinstance(repeat, float) and 0.0 < repeat <= MAX_SECONDS, "seconds are positive, finite numbers")
    if r.error is None:
        _require(r.seconds, "a record without seconds needs an error that says why")
    else:
        _text(r.error, "error", MAX_ERROR_CHARS)
        _require(r.error and not r.seconds, "a failed record has an error text and no seconds")


@lru_cache(maxsize=4_096, typed=True)
def _check_shared(
    workload: object,
    fingerprint: object,
    device: object,
    tvm_version: object,
    tool_version: object,
    run: object,
    author: object,
    threads: object,
) -> None:
    """Checks what the records of a task and a run have in common: once for all of them."""
    _require(isinstance(workload, str) and _HASH.fullmatch(workload), "workload is 16 to 64 lower-case hex digits")
    _require(isinstance(fingerprint, str) and _SLUG.fullmatch(fingerprint), "fingerprint is a path-safe name")
    _text(device, "device", 300)
    _text(tvm_version, "tvm_version", 100)
    _text(tool_version, "tool_version", 100)
    _text(run, "run", 200)
    _text(author, "author", 200)
    _require(type(threads) is int and 0 <= threads <= 65_536, "threads is a count from 0 (unknown) to 65536")


def check_small_object(value: object, what: str) -> None:
    """Raises EdgetuneError unless `value` is a JSON object of bounded size."""
    _require(isinstance(value, dict), f"{what} is a JSON object")
    check_json(value, what)
    _require(len(canonical_bytes(value)) <= MAX_SMALL_BYTES, f"{what} is larger than {MAX_SMALL_BYTES} bytes")


def is_time(text: str) -> bool:
    """Whether `text` has the form of `now()` and names a time that exists."""
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text[:-1])
    except ValueError:
        return False
    return True


def check_trace_text(trace: str) -> None:
    """The part of `check_record` that looks at the trace: its size, its form, and that the text is canonical."""
    _require(type(trace) is str and len(trace) <= MAX_TRACE_BYTES, f"trace is text of at most {MAX_TRACE_BYTES} bytes")
    try:
        data = trace.encode("utf-8")
    except UnicodeError:
        raise EdgetuneError("not a valid record: trace holds half of a surrogate pair") from None
    value = parse_strict(data)
    canonical = canonical_bytes(value) == data
    _require(canonical, "trace is not canonical JSON: make it with workload.trace_text(schedule)")
    two_lists = isinstance(value, list) and len(value) == 2 and all(isinstance(part, list) for part in value)
    _require(two_lists, "trace is not a schedule's trace ([instructions, decisions])")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: object, what: str, limit: int) -> None:
    if type(value) is not str or len(value) > limit:
        raise EdgetuneError(f"{what} is plain text of at most {limit} characters")
    check_text(value, what)


def _require(condition: object, message: str) -> None:
    if not condition:
        raise EdgetuneError(f"not a valid record: {message}")
