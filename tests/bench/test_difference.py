"""The A/A test: planted differences are found, others are not; and whether windows agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.bench.aa import measure_pairs
from compiler.bench.conditions import Watch
from compiler.bench.difference import LEAST_PAIRS, difference
from compiler.bench.protocol import Protocol, measure
from compiler.bench.stability import stability, warnings
from compiler.runtime.timing import Timing
from compiler.tensors import TensorSpec

random = np.random.default_rng(5)


def pairs(planted: float, noise: float, count: int) -> tuple[list[float], list[float]]:
    """Durations with a drift, heavy-tailed noise and a planted slowdown of the second."""
    drift = np.linspace(0.01, 0.02, count)
    first, second = (drift * np.exp(noise * random.standard_t(3, count)) for _ in range(2))
    return list(first), list(second * (1 + planted))


@pytest.mark.parametrize("count", [40, 200])
def test_a_planted_slowdown_is_found_and_none_is_not(count: int) -> None:
    noise = 0.02
    slow = [difference(*pairs(0.05, noise, count)) for _ in range(20)]
    same = [difference(*pairs(0.0, noise, count)) for _ in range(20)]
    assert all(one.found and one.low > 1 for one in slow)
    assert not any(one.found for one in same)
    assert all(one.low <= one.ratio <= one.high for one in slow + same)
    assert all(0 < one.smallest < 0.2 for one in same)


def test_pairs_of_a_machine_that_wanders_do_not_make_a_difference() -> None:
    found = 0
    for _ in range(60):
        steps = random.normal(0, 0.01, 100)
        wanders = np.array([0.0])
        for step in steps:  # an autoregression: each pair remembers half of the one before
            wanders = np.append(wanders, 0.6 * wanders[-1] + step)
        found += difference([0.01] * 101, list(0.01 * np.exp(wanders))).found
    assert found <= 2
    # without the widening a fifth of them would be differences


def test_what_lies_below_the_floor_is_no_difference() -> None:
    first = list(0.01 * np.exp(random.normal(0, 0.001, 400)))
    assert not difference(first, [one * 1.001 for one in first]).found
    assert difference(first, [one * 1.01 for one in first]).found


def test_more_pairs_show_smaller_differences() -> None:
    few, many = (difference(*pairs(0.0, 0.05, count)).smallest for count in (20, 400))
    assert many < few


def test_the_test_is_exact() -> None:
    # Of 2^12 choices of signs, the two that agree altogether have a probability of 2 / 4096 < 0.001.
    first = [1.0 + n / 1000 for n in range(LEAST_PAIRS)]
    assert difference(first, [2 * one for one in first]).found
    nearly = [2 * one for one in first[1:]]
    assert not difference(first, [0.4 * first[0], *nearly]).found
    with pytest.raises(ValueError, match="pairs"):
        difference(first[1:], first[1:])


class Engine:
    """Takes as long as its list says, without taking it."""

    name = version = precision = "made"
    notes: tuple[str, ...] = ()
    settings: dict[str, str] = {}
    inputs: list[TensorSpec] = []

    def __init__(self, seconds: list[float], order: list[str], name: str) -> None:
        self.seconds, self.order, self.name = seconds, order, name
        self.turns = 0

    def run(self, inputs: object) -> dict[str, np.ndarray]:
        return {}

    def timed(self, inputs: object, **how: object) -> Timing:
        self.order.append(self.name)
        taken = self.seconds[min(self.turns, len(self.seconds) - 1)]
        self.turns += 1
        return Timing((taken,) * 3, 0.0, 1.0)


def test_who_begins_changes() -> None:
    order: list[str] = []
    found = measure_pairs(Engine([0.01], order, "a"), Engine([0.02], order, "b"), {}, seconds=0.0)
    assert "".join(order[2:10]) == "abbaabba"
    assert (found.pairs, found.ratio, found.found) == (LEAST_PAIRS, pytest.approx(2.0), True)


def test_windows_go_on_until_they_agree() -> None:
    order: list[str] = []
    engine = Engine([1.0, 2.0, 1.0, 2.0, 1.0, 1.01, 1.02], order, "a")
    (taken,) = measure([engine], {}, Protocol(rounds=3, tolerance=0.05, limit_seconds=1e6))
    assert len(taken.rounds) == 7
    engine = Engine([1.0, 2.0] * 10, order, "a")
    (taken,) = measure([engine], {}, Protocol(rounds=3, tolerance=0.05, most_rounds=8, limit_seconds=1e6))
    verdict = stability([one.seconds for one in taken.rounds], 0.05)
    assert (len(taken.rounds), verdict.stable, verdict.drift) == (8, False, pytest.approx(1.0))
    unstable, drift = warnings(verdict)
    assert unstable.startswith("unstable: after 8 windows")
    assert drift.startswith("drift: the last window is +100.0%")
    (taken,) = measure([Engine([1.0], order, "a")], {}, Protocol(rounds=5, tolerance=0.05))
    assert len(taken.rounds) == 5


def test_stability_of_few_windows_is_not_known() -> None:
    verdict = stability([[1.0], [1.0]], 0.05)
    assert (verdict.stable, verdict.spread, verdict.drift) == (None, None, 0.0)
    assert warnings(verdict) == []
    assert stability([[1.0]], 0.05).drift is None


def test_conditions_are_what_the_machine_says(tmp_path: Path) -> None:
    cpu = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    cpu.mkdir(parents=True)
    (cpu / "scaling_cur_freq").write_text("3000000\n")
    (cpu / "scaling_governor").write_text("schedutil\n")
    watch = Watch(tmp_path)
    (cpu / "scaling_cur_freq").write_text("2000000\n")
    found = watch.conditions()
    assert (found.clock_mhz_before, found.clock_mhz_after, found.governor) == (3000.0, 2000.0, "schedutil")
    assert (found.celsius_before, found.throttled, found.power_mode) == (None, None, None)
    assert found.usable_cpus > 0
    assert found.other_cpus >= 0
