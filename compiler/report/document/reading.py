"""Result lines from files: what can be used, and what cannot, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from compiler.bench.aa import AaLine
from compiler.bench.result import SCHEMA, Result
from compiler.errors import EdgetuneError

LONGEST_LINE = 16 << 20
"""Bytes; a line with a long profile has some hundred thousand."""


class CurveLine(msgspec.Struct, frozen=True):
    """A line of `logs curve --json`: the shortest seconds of a task after each trial."""

    task: str
    workload: str
    run: str
    best_seconds: list[float | None]


@dataclass
class Loaded:
    """`bad` are `FILE:LINE: reason`. A line that is there twice, in one file or in two, counts once."""

    results: list[Result] = field(default_factory=list)
    curves: list[CurveLine] = field(default_factory=list)
    aa: list[AaLine] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    repeated: int = 0


class _Peek(msgspec.Struct):
    schema: int | None = None
    best_seconds: msgspec.Raw = msgspec.Raw()
    aa: msgspec.Raw = msgspec.Raw()


def read_results(paths: Iterable[Path]) -> Loaded:
    """Every line of every file, in their order. Raises EdgetuneError for a file that cannot be read."""
    loaded = Loaded()
    seen: set[bytes] = set()
    for path in paths:
        try:
            with path.open("rb") as file:
                for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), 1):
                    text = line.strip()
                    if not text:
                        continue
                    if text in seen:
                        loaded.repeated += 1
                        continue
                    seen.add(text)
                    reason = "longer than any result" if len(line) > LONGEST_LINE else _take(text, loaded)
                    if reason:
                        loaded.bad.append(f"{path}:{number}: {reason}")
        except OSError as error:
            raise EdgetuneError(f"cannot read {path}: {error.strerror or error}") from None
    loaded.results.sort(key=lambda result: result.started)
    return loaded


_peek = msgspec.json.Decoder(_Peek)
_result = msgspec.json.Decoder(Result)
_aa = msgspec.json.Decoder(AaLine)
_curve = msgspec.json.Decoder(CurveLine)


def _take(text: bytes, loaded: Loaded) -> str | None:
    """Keeps what the line holds, or says why it holds nothing of use."""
    try:
        peek = _peek.decode(text)
        if bytes(peek.best_seconds):
            loaded.curves.append(_curve.decode(text))
            return None
        if peek.schema is None:
            return "no result: it has no schema"
        if peek.schema > SCHEMA:
            return f"schema {peek.schema} is of a newer edgetune, which this one cannot read"
        if bytes(peek.aa):
            loaded.aa.append(_aa.decode(text))
            return None
        result = _result.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return " ".join(str(error).split())[:200]
    reason = _implausible(result)
    if reason is None:
        loaded.results.append(result)
    return reason


def _implausible(result: Result) -> str | None:
    figures = result.latency_ms
    if figures is not None and not 0 < figures.min <= figures.p50 <= figures.max:
        return "its latencies are in no order"
    for name in ("images_per_s", "watts", "images_per_s_per_w"):
        value = getattr(result, name)
        if value is not None and not value > 0:
            return f"{name} is {value:g}; what was not measured is null"
    return None
