"""Sampling beside something else: real threads and a real clock, sensors whose values are known at any time."""

from __future__ import annotations

import threading
import time

import pytest

from compiler.runtime.sensors.channel import Channel
from compiler.runtime.sensors.sampler import Sampler
from tests.waiting import attempts


class Load:
    """A machine that takes 10 W, and 90 W while it works."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.bursts: list[list[float]] = []

    def watts(self) -> float:
        return 90.0 if self.bursts and len(self.bursts[-1]) == 1 else 10.0

    def joules(self) -> float:
        now = time.monotonic()
        worked = sum((burst[1] if len(burst) > 1 else now) - burst[0] for burst in self.bursts)
        return 10.0 * (now - self.began) + 80.0 * worked

    def work(self, sampler: Sampler, seconds: float) -> tuple[float, float]:
        """Warm up, and then the window that counts: what follows it is idle at once."""
        self.bursts.append([time.monotonic()])
        time.sleep(0.06)
        begin = sampler.begin()
        time.sleep(seconds)
        end = sampler.end()
        self.bursts[-1].append(time.monotonic())
        return begin, end


def test_windows_get_their_own_energy_and_nothing_of_their_neighbours() -> None:
    for attempt in attempts(0.0):  # a thread that gets no processor reads no sensor
        with attempt:
            windows_get_their_own_energy()


def windows_get_their_own_energy() -> None:
    load = Load()
    sampler = Sampler(
        [
            Channel("rail", "ina3221", False, load.watts),
            Channel("package-0", "RAPL", True, lambda: load.joules() % 50.0, span=50.0),
            Channel("gone", "ina3221", False, lambda: None),
        ],
        period=0.02,
    )
    sampler.start()
    time.sleep(0.05)
    begun = sampler.begin()
    time.sleep(0.3)
    idle = (begun, sampler.end())
    first = load.work(sampler, 0.4)
    time.sleep(0.05)
    second = load.work(sampler, 0.3)
    short = load.work(sampler, 0.004)
    sampler.stop()
    report = sampler.report([idle, first, second, short])
    assert [(one.name, one.sensor, one.counts) for one in report.channels] == [
        ("rail", "ina3221", False),
        ("package-0", "RAPL", True),
        ("gone", "ina3221", False),
    ]
    assert report.channels[2].interval is None and 0 < (report.channels[0].interval or 0) < 0.1
    for window, watts, energies in zip((idle, first, second), (10.0, 90.0, 90.0), report.windows, strict=False):
        for energy in energies[:2]:
            assert energy.joules == pytest.approx(watts * (window[1] - window[0]), rel=0.01)
        assert energies[2].why == "the readings do not cover the window"
    assert all("shorter" in (energy.why or "") for energy in report.windows[3][:2])


def test_a_slow_sensor_is_asked_more_rarely() -> None:
    def slow() -> float:
        time.sleep(0.03)
        return 1.0

    sampler = Sampler([Channel("slow", "ina3221", False, slow)], period=0.001)
    sampler.start()
    assert sampler.period >= 0.06
    sampler.stop()


def test_it_waits_for_a_counter_that_moves_in_steps_to_move_once_more() -> None:
    for attempt in attempts(0.0):
        with attempt:
            it_waits_for_a_counter_that_moves_in_steps()


def it_waits_for_a_counter_that_moves_in_steps() -> None:
    sampler = Sampler([Channel("gpu0", "NVML", True, lambda: 40.0 * (time.monotonic() // 0.1 * 0.1))], period=0.01)
    sampler.start()
    time.sleep(0.15)
    begin = sampler.begin()
    time.sleep(0.5)
    end = sampler.end()
    sampler.stop()
    ((energy,),) = sampler.report([(begin, end)]).windows
    assert energy.joules is not None and abs(energy.joules - 40.0 * (end - begin)) <= energy.doubt + 0.01 * 40 * 0.5
    assert 0.05 < (sampler.report([]).channels[0].interval or 0) < 0.3


def test_it_ends_with_a_counter_that_never_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.runtime.sensors.sampler._LAST_STEP_S", 0.1)
    before = set(threading.enumerate())
    sampler = Sampler([Channel("package-0", "RAPL", True, lambda: 1.0)], period=0.01)
    sampler.start()
    window = (sampler.begin(), sampler.end())
    sampler.stop()
    sampler.stop()
    assert not set(threading.enumerate()) - before
    assert sampler.report([window]).windows[0][0].joules is None
