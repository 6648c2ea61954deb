"""The A/A test: the same package as two engines in turns shows how small a difference this machine can tell now."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
from msgspec import Struct

from compiler.bench.difference import LEAST_PAIRS, MOST_PAIRS, Difference, difference
from compiler.bench.engine import Engine, cast_inputs
from compiler.bench.protocol import wait_until_idle
from compiler.bench.result import SCHEMA
from compiler.runtime.timing import Timing

TURN_SECONDS = 0.02
"""Short turns: what comes and goes on a machine then strikes both alike."""


class AaLine(Struct, frozen=True, kw_only=True):
    """A line of `bench --aa --json`: `aa` is what the same package twice seemed to differ by."""

    schema: int = SCHEMA
    aa: Difference
    model: str
    device: str
    fingerprint: str
    batch: int | None
    precision: str
    threads: int
    started: str


def measure_pairs(
    first: Engine,
    second: Engine,
    inputs: Mapping[str, np.ndarray],
    *,
    seconds: float,
    progress: Callable[[float], None] = lambda share: None,
) -> Difference:
    """Let two engines take short turns for about `seconds` in all, and compare them.

    Who begins changes from pair to pair (A B, B A, ...), so that neither a drift nor the order favours one. There are
    at least 12 pairs, however long they take.
    """
    engines = (first, second)
    own = [cast_inputs(engine.inputs, inputs) for engine in engines]

    def turn(which: int, warmup: float = 0.0) -> Timing:
        wait_until_idle(0.2)  # the other's threads spin for a while after a run
        return engines[which].timed(
            own[which], runs=1, seconds=TURN_SECONDS, warmup_runs=1, warmup_seconds=warmup, limit_seconds=60.0
        )

    for which in (0, 1):
        turn(which, warmup=0.2)
    taken: tuple[list[float], list[float]] = ([], [])
    began = time.monotonic()
    while (pairs := len(taken[0])) < MOST_PAIRS and (pairs < LEAST_PAIRS or time.monotonic() - began < seconds):
        for which in (0, 1) if pairs % 2 == 0 else (1, 0):
            taken[which].append(statistics.median(turn(which).seconds))
        progress(min(1.0, (time.monotonic() - began) / seconds) if seconds > 0 else 1.0)
    return difference(*taken)
