"""How latency is measured: warm-up, then rounds in which the engines take turns.

Engines keep idle threads spinning for a while after a run (TVM's pool and ONNX Runtime's by default), which is what
each is fastest with, and what slows down whoever comes next on the same cores. So every engine keeps its own best
settings, and between turns the protocol waits until this process is idle, then warms the next engine up before it
counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np

from compiler.bench.engine import Engine, cast_inputs
from compiler.bench.stability import AGREEING, stability
from compiler.errors import UsageError
from compiler.runtime.timing import Edges, Timing


@dataclass(frozen=True)
class Protocol:
    """At least `runs` invocations and `seconds` per engine, in `rounds` rounds.

    `warmup_seconds` precedes an engine's first round, a tenth of it later ones, and at least `warmup_runs` runs each.
    `limit_seconds` per engine ends what is too slow for that. With a `tolerance`, rounds go on, up to `most_rounds`,
    until the medians of each engine's last three agree within it (0.05: 5 %).
    """

    runs: int = 100
    seconds: float = 3.0
    rounds: int = 5
    warmup_runs: int = 3
    warmup_seconds: float = 0.5
    limit_seconds: float = 120.0
    tolerance: float | None = None
    most_rounds: int = 10

    def __post_init__(self) -> None:
        times = (self.seconds, self.warmup_seconds)
        if self.runs < 1 or self.rounds < 1 or self.warmup_runs < 0 or any(time < 0 for time in times):
            raise UsageError("a measurement needs at least one run and one round, and no negative time")
        if not all(map(math.isfinite, times)):
            raise UsageError("the seconds of a measurement must be a number, and not infinite")
        if not self.limit_seconds > 0:
            raise UsageError("the time limit of a measurement must be above zero")


@dataclass(frozen=True)
class Measurement:
    """What one engine took: one timing per round. `started` is UTC, ISO 8601."""

    engine: str
    rounds: tuple[Timing, ...]
    started: str

    @property
    def seconds(self) -> list[float]:
        """Every counted invocation's duration, in order."""
        return [duration for timing in self.rounds for duration in timing.seconds]


def measure(
    engines: Sequence[Engine],
    inputs: Mapping[str, np.ndarray],
    protocol: Protocol,
    progress: Callable[[str, int, int], None] | None = None,
    edges: Edges | None = None,
) -> list[Measurement]:
    """Measure all engines on the same inputs, in turns (A B C, A B C, ...); one measurement per engine, in their order.

    `progress(engine, turn, turns)` is called before each turn. Fewer than `protocol.runs` durations mean that the limit
    struck. With `edges`, timings have their windows (see `time_invocations`).
    """
    own_inputs = [cast_inputs(engine.inputs, inputs) for engine in engines]
    timings: list[list[Timing]] = [[] for _ in engines]
    # Where one round takes all the runs there are, more rounds would only repeat the warm-up.
    rounds = min(protocol.rounds, protocol.runs)
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    most = max(rounds, protocol.most_rounds) if protocol.tolerance is not None and rounds >= AGREEING else rounds
    for round_number in range(most):
        if round_number >= rounds and _settled(timings, protocol):
            break
        for index, engine in enumerate(engines):
            if progress is not None:
                progress(
                    engine.name, round_number * len(engines) + index + 1, max(rounds, round_number + 1) * len(engines)
                )
            if len(engines) > 1:
                wait_until_idle()
            timings[index].append(
                engine.timed(
                    own_inputs[index],
                    runs=math.ceil(protocol.runs / rounds),
                    seconds=protocol.seconds / rounds,
                    warmup_runs=protocol.warmup_runs,
                    warmup_seconds=protocol.warmup_seconds * (1.0 if round_number == 0 else 0.1),
                    limit_seconds=protocol.limit_seconds / rounds,
                    edges=edges,
                )
            )
    return [Measurement(engine.name, tuple(taken), started) for engine, taken in zip(engines, timings, strict=True)]


def _settled(timings: Sequence[Sequence[Timing]], protocol: Protocol) -> bool:
    """Whether every engine has, or has used up its time."""
    for taken in timings:
        verdict = stability([timing.seconds for timing in taken], protocol.tolerance or 0.0)
        spent = sum(sum(timing.seconds) for timing in taken)
        if not verdict.stable and spent < protocol.limit_seconds / 2:
            return False
    return True


def wait_until_idle(limit_seconds: float = 2.0, step_seconds: float = 0.01) -> bool:
    """Wait until this process uses under a tenth of a core, two steps in a row; False if it does not by the limit."""
    end = time.perf_counter() + limit_seconds
    quiet = 0
    while quiet < 2:
        if time.perf_counter() > end:
            return False
        used, started = time.process_time(), time.perf_counter()
        time.sleep(step_seconds)
        share = (time.process_time() - used) / (time.perf_counter() - started)
        quiet = quiet + 1 if share < 0.1 else 0
    return True
