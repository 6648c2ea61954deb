"""What is in a batch and in its results, line by line: see docs/offline.md."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes, parse_strict

MAX_JOBS = 4096
MAX_LINE_BYTES = 8 << 20
"""Of any line: a trace may be long, and so may the text of a board's /proc/cpuinfo."""
MAX_ERROR_CHARS = 2_000

BATCH_FILE, JOBS_FILE, CANDIDATES_FILE = "batch.json", "jobs.jsonl", "candidates.jsonl"

Id = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_Name = Annotated[str, Meta(max_length=300)]
_Seconds = Annotated[float, Meta(gt=0, le=1e6)]
_Extent = Annotated[int, Meta(ge=0, le=2**40)]


class Header(Struct, frozen=True, kw_only=True):
    """What a batch is of: `batch` is its name, `jobs` how many it holds; `machine` and `device` are where they run."""

    schema: Literal[1] = 1
    batch: Id
    jobs: Annotated[int, Meta(ge=1, le=MAX_JOBS)]
    machine: _Name
    device: Literal["cpu", "cuda"]
    threads: Annotated[int, Meta(ge=1, le=65_536)]
    target: _Name
    config: dict[str, Any]
    tvm: _Name
    version: _Name
    model: _Name
    model_sha256: Sha256
    precision: _Name
    run: Id
    created: _Name


class Job(Struct, frozen=True, kw_only=True):
    """One library to measure: the job of `edgetune.measure` in docs/agent-protocol.md, with the library's checksum."""

    id: Id
    library: _Name
    sha256: Sha256
    bytes: Annotated[int, Meta(ge=1, le=1 << 32)]
    limit_seconds: Annotated[float, Meta(gt=0, le=3600)]
    arguments: Annotated[list[tuple[list[_Extent], _Name]], Meta(min_length=1, max_length=1000)]
    weights: list[Annotated[int, Meta(ge=0, lt=1000)]]
    repeats: Annotated[int, Meta(ge=1, le=1000)]
    repeat_seconds: Annotated[float, Meta(ge=0, le=3600)]
    give_up: Annotated[float, Meta(gt=0)] | None
    threads: Annotated[int, Meta(ge=1, le=65_536)]
    device: Literal["cpu", "cuda"]

    def request(self, library: str) -> dict[str, Any]:
        """The job as `edgetune.measure` takes it, for the `library` where it lies now."""
        left_out = ("id", "sha256", "bytes", "limit_seconds")
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name not in left_out}
        return {**values, "library": library}


class Candidate(Struct, frozen=True, kw_only=True):
    """What a job measures: the schedule `trace` (its canonical JSON) of the task `workload`, called `task`."""

    id: Id
    workload: str
    task: str
    trace: msgspec.Raw


class ResultsHead(Struct, frozen=True, kw_only=True):
    """The first line of results: which batch they are of, and what the board says that it is."""

    schema: Literal[1] = 1
    batch: Id
    identity: dict[str, Any]


class Result(Struct, frozen=True, kw_only=True):
    """What became of the job `id` whose library had that SHA-256: the seconds of each repeat, or an `error`.

    `time` is in seconds since 1970 by the board's clock, `celsius` its highest temperature after the job.
    """

    id: Id
    sha256: Sha256
    seconds: Annotated[list[_Seconds], Meta(max_length=1000)]
    error: Annotated[str, Meta(min_length=1, max_length=MAX_ERROR_CHARS)] | None = None
    time: float | None = None
    celsius: float | None = None

    def __post_init__(self) -> None:
        if bool(self.seconds) == (self.error is not None):
            raise ValueError("a result has either seconds or an error")


_T = TypeVar("_T", bound=Struct)


def decode(line: bytes, kind: type[_T], what: str) -> _T:
    """The `kind` that one line of JSON is. Raises EdgetuneError, beginning with `what`, where it is none."""
    try:
        # What two readers could understand differently (keys that come twice, NaN) is refused, and endless nesting.
        return msgspec.convert(parse_strict(line, controls=True), kind)
    except EdgetuneError as error:
        raise EdgetuneError(f"{what}: {error}") from None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise EdgetuneError(f"{what}: {' '.join(str(error).split())[:300]}") from None


def encode(value: Struct) -> bytes:
    """A line of a file, with its newline."""
    return canonical_bytes(value) + b"\n"


def lines_of(data: bytes, what: str) -> Iterator[tuple[str, bytes]]:
    """The lines of a member, each with words for what it is. Raises EdgetuneError where the last one is torn."""
    if data and not data.endswith(b"\n"):
        raise EdgetuneError(f"{what} ends in the middle of a line")
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        if len(line) > MAX_LINE_BYTES:
            raise EdgetuneError(f"line {number} of {what} is longer than {MAX_LINE_BYTES} bytes")
        yield f"line {number} of {what}", line


def batch_id(jobs: bytes) -> str:
    """The name of the batch with these bytes in its `jobs.jsonl`."""
    return hashlib.sha256(jobs).hexdigest()[:32]


def job_id(workload: str, trace_id: str, library_sha256: str) -> str:
    """The id of the job that measures a library of a schedule."""
    return hashlib.sha256(f"{workload} {trace_id} {library_sha256}".encode()).hexdigest()[:32]
