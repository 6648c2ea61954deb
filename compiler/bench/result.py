"""A result: one measured line, model x target x batch x precision x engine, as design.md fixes it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from compiler.bench.statistics import Latency
from compiler.errors import EdgetuneError
from compiler.packaging.manifest import Accuracy

SCHEMA = 1


class Result(Struct, frozen=True, kw_only=True):
    """Fields and order are the file format. What was not measured is None, never zero and never guessed.

    `tuned_tasks`, `tasks` and `trials` are None for peers, `images_per_s` is None where the model has no batch.
    """

    schema: int = SCHEMA
    model: str
    model_sha256: str
    engine: str
    engine_version: str
    target: str
    fingerprint: str
    device: str
    batch: int | None
    precision: str
    latency_ms: Latency | None
    runs: int
    images_per_s: float | None
    watts: float | None = None
    images_per_s_per_w: float | None = None
    power_source: str | None = None
    accuracy: Accuracy | None = None
    tuned_tasks: int | None = None
    tasks: int | None = None
    trials: int | None = None
    threads: int
    warnings: list[str] = []
    started: str


def encode_line(result: Result) -> bytes:
    """One JSON object and a newline."""
    return msgspec.json.encode(result) + b"\n"


def append_results(path: Path | str, results: Iterable[Result]) -> None:
    """Append result lines to a file in one write, so that parallel runs do not mix.

    Raises EdgetuneError if the disk refuses.
    """
    data = b"".join(map(encode_line, results))
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            # A line that was torn by a crash must not swallow ours.
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise EdgetuneError(f"cannot write results to {path}: {error.strerror or error}") from None


def read_results(path: Path | str) -> tuple[list[Result], list[str]]:
    """All results of a file, and one line for each of its lines that is none.

    Raises EdgetuneError when it cannot be read.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except (OSError, ValueError) as error:
        raise EdgetuneError(f"cannot read results from {path}: {getattr(error, 'strerror', None) or error}") from None
    results, problems = [], []
    decoder = msgspec.json.Decoder(Result)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            result = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            problems.append(f"{path}:{number}: not a result line: {' '.join(str(error).split())}")
            continue
        if result.schema != SCHEMA:
            problems.append(f"{path}:{number}: a result of schema {result.schema}, and this edgetune reads {SCHEMA}")
            continue
        results.append(result)
    return results, problems
