"""The measuring protocol, with engines whose times are known."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pytest

from compiler.bench import protocol
from compiler.bench.protocol import Protocol, measure, wait_until_idle
from compiler.bench.statistics import latency, paired_ratio
from compiler.errors import UsageError
from compiler.runtime.timing import Timing, time_invocations
from compiler.tensors import TensorSpec
from tests.waiting import attempts


class Sleeper:
    """An engine that takes `seconds` a run and writes down its turns."""

    version, precision, notes = "1", "fp32", ()

    def __init__(self, name: str, seconds: float, log: list[str], dtype: str = "float32") -> None:
        self.name, self.seconds, self.log = name, seconds, log
        self.inputs = [TensorSpec("x", (2,), dtype)]
        self.seen: list[np.ndarray] = []

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def timed(self, inputs: Mapping[str, np.ndarray], **limits: float) -> Timing:
        self.log.append(self.name)
        self.seen.append(inputs["x"])
        return time_invocations(lambda: time.sleep(self.seconds), **limits)  # type: ignore[arg-type]


def test_engines_take_turns_and_get_the_runs_and_seconds_asked_for() -> None:
    log: list[str] = []
    engines = [Sleeper("a", 0.001, log), Sleeper("b", 0.01, log, "float16")]
    inputs = {"x": np.array([1, 2], "float32")}
    turns: list[tuple[str, int, int]] = []
    protocol = Protocol(runs=10, seconds=0.06, rounds=3, warmup_runs=1, warmup_seconds=0.01)
    measurements = measure(engines, inputs, protocol, progress=lambda *turn: turns.append(turn))
    assert log == ["a", "b"] * 3
    assert turns == [(name, number + 1, 6) for number, name in enumerate(log)]
    assert [array.dtype.name for engine in engines for array in engine.seen[:1]] == ["float32", "float16"]
    for measurement in measurements:
        assert len(measurement.rounds) == 3
        assert len(measurement.seconds) >= 10
        assert sum(measurement.seconds) >= 0.06
    ratio = paired_ratio(
        "a",
        *[[timing.seconds for timing in m.rounds] for m in measurements[:1]],
        "b",
        [t.seconds for t in measurements[1].rounds],
    )
    assert 0 < ratio.low <= ratio.ratio <= ratio.high
    assert ratio.low < 1


def test_a_slow_engine_ends_at_the_limit() -> None:
    log: list[str] = []
    started = time.perf_counter()
    (measurement,) = measure(
        [Sleeper("slow", 0.05, log)],
        {"x": np.zeros(2, "float32")},
        Protocol(runs=1000, rounds=2, warmup_seconds=0, warmup_runs=0, limit_seconds=0.2),
    )
    assert time.perf_counter() - started < 40
    assert 2 <= len(measurement.seconds) < 20


def test_no_more_rounds_than_runs() -> None:
    log: list[str] = []
    (measurement,) = measure(
        [Sleeper("once", 0.0, log)], {"x": np.zeros(2, "float32")}, Protocol(runs=1, seconds=0, warmup_seconds=0)
    )
    assert len(measurement.rounds) == len(measurement.seconds) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"runs": 0}, {"rounds": 0}, {"seconds": -1}, {"limit_seconds": 0}, {"warmup_runs": -1}, {"warmup_seconds": -1}],
)
def test_protocols_that_make_no_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Protocol(**wrong)  # type: ignore[arg-type]


def test_wait_until_idle_waits_for_spinning_threads() -> None:
    for attempt in attempts(0.0):  # a thread that gets no processor does not spin
        with attempt:
            stop = time.perf_counter() + 0.3

            def spin(stop: float = stop) -> None:
                while time.perf_counter() < stop:
                    pass

            thread = threading.Thread(target=spin)
            thread.start()
            try:
                assert wait_until_idle(step_seconds=0.05)
                assert time.perf_counter() >= stop - 0.05
            finally:
                thread.join()


def test_wait_until_idle_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # A process that uses all of a core, as a real one does not on a machine that others use too.
    monkeypatch.setattr(protocol, "time", SimpleNamespace(**{**vars(time), "process_time": time.perf_counter}))
    assert not wait_until_idle(limit_seconds=0.1)


def test_latency_figures() -> None:
    figures = latency([0.001, 0.002, 0.003, 0.004])
    assert figures.mean == pytest.approx(2.5)
    assert figures.p50 == pytest.approx(2.5)
    assert (figures.min, figures.max) == (pytest.approx(1.0), pytest.approx(4.0))
    assert figures.p50 <= figures.p90 <= figures.p99 <= figures.max
    assert figures.cv == pytest.approx(np.std([1, 2, 3, 4]) / 2.5)
    assert latency([0.5]).cv == 0


def test_paired_ratio_is_the_median_of_rounds() -> None:
    ratio = paired_ratio("a", [[1.0, 1.0, 9.0], [2.0], [3.0]], "b", [[2.0], [2.0], [2.0]])
    assert (ratio.ratio, ratio.low, ratio.high) == (1.0, 0.5, 1.5)
