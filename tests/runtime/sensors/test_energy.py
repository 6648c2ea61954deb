"""Energy over windows: what is known of a trace, and what its readings cannot tell."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.runtime.sensors.energy import Energy, counter_energy, power_energy, steps

PERIOD = 0.05


class Step:
    """`low` watts, and `high` ones from `begin` to `end`."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self.low, self.high, self.begin, self.end = low, high, begin, end

    def watts(self, time: float) -> float:
        return self.high if self.begin <= time <= self.end else self.low

    def joules(self, time: float) -> float:
        """Since 0."""
        return self.low * time + (self.high - self.low) * (min(max(time, self.begin), self.end) - self.begin)


steps_of_power = st.builds(
    lambda low, more, begin, length: Step(low, low + more, begin, begin + length),
    st.floats(0.5, 50), st.floats(0, 400), st.floats(1, 3), st.floats(0.5, 5),
)  # fmt: skip
irregular = st.lists(st.floats(0.02, 0.07), min_size=200, max_size=200)


def readings(gaps: list[float], *edges: float) -> list[float]:
    """Times at irregular gaps, and right beside the edges, where a sampler reads besides."""
    beside = [edge + away for edge in edges for away in (-1e-5, 1e-5)]
    return sorted({*accumulate(gaps), *beside})


def close(energy: Energy, joules: float, share: float) -> None:
    assert energy.joules is not None, energy.why
    assert abs(energy.joules - joules) <= share * joules, (energy, joules)


@given(steps_of_power, irregular)
def test_a_step_of_power_is_known_within_a_hundredth(step: Step, gaps: list[float]) -> None:
    times = readings(gaps, step.begin, step.end)
    # A window begins after a reading and ends before one: these lie within the step.
    times += [step.begin, step.end]
    times = sorted(set(times))
    energy = power_energy(times, [step.watts(time) for time in times], step.begin, step.end, PERIOD)
    close(energy, step.high * (step.end - step.begin), 0.01)


@given(steps_of_power, irregular, st.floats(0, 1e5))
def test_a_counter_is_known_within_a_hundredth_wherever_it_begins_anew(
    step: Step, gaps: list[float], first: float
) -> None:
    span = 400.0
    times = readings(gaps, step.begin, step.end)
    counted = [(first + step.joules(time)) % span for time in times]
    energy = counter_energy(times, counted, step.begin, step.end, PERIOD, span)
    close(energy, step.high * (step.end - step.begin), 0.01)
    # What follows it is not mixed in.
    after = counter_energy(times, counted, step.end, step.end + 1, PERIOD, span)
    close(after, step.low, 0.01 + step.high * 2e-5 / step.low)


@given(steps_of_power, st.integers(0, 49))
def test_a_counter_in_steps_is_as_near_as_it_says(step: Step, phase: int) -> None:
    """NVML's counters move every 0.1 s: whatever a window's edges cut."""
    times = [0.01 * k + phase * 2e-4 for k in range(1000)]
    counted = [step.joules(time // 0.1 * 0.1) for time in times]
    energy = counter_energy(times, counted, step.begin, step.end, 0.01, None)
    if energy.joules is None:
        assert step.end - step.begin < 0.8
        return
    known = step.high * (step.end - step.begin)
    assert abs(energy.joules - known) <= 2 * energy.doubt + step.high * 0.021


@given(irregular, st.floats(1, 2), st.floats(0.3, 1), st.floats(0.3, 1), st.floats(0, 20), st.floats(0, 5))
def test_windows_add_up_and_what_is_linear_is_exact(
    gaps: list[float], begin: float, one: float, two: float, watts: float, slope: float
) -> None:
    times = list(accumulate(gaps))
    power = [watts + slope * time for time in times]
    counted = [watts * time + slope * time**2 / 2 for time in times]

    def exact(low: float, high: float) -> float:
        return watts * (high - low) + slope * (high**2 - low**2) / 2

    middle, end = begin + one, begin + one + two
    spans = [(begin, middle), (middle, end), (begin, end)]
    first, second, both = (power_energy(times, power, *span, PERIOD).joules for span in spans)
    assert first is not None and second is not None and both is not None
    assert both == pytest.approx(first + second)
    assert [first, second, both] == pytest.approx([exact(*span) for span in spans])
    if watts:
        parts = [counter_energy(times, counted, *span, PERIOD, None).joules for span in spans]
        assert parts[2] == pytest.approx((parts[0] or 0) + (parts[1] or 0))


@given(steps_of_power, irregular)
def test_without_readings_at_the_edges_the_doubt_says_how_much_may_be_missing(step: Step, gaps: list[float]) -> None:
    times = list(accumulate(gaps))
    energy = power_energy(times, [step.watts(time) for time in times], step.begin, step.end, PERIOD)
    assert energy.joules is not None
    # A step that hides between two readings may be anywhere there.
    assert abs(energy.joules - step.high * (step.end - step.begin)) <= 2 * (step.high - step.low) * 0.07 + 1e-6
    assert energy.doubt <= 2 * (step.high - step.low) * 0.035 + 1e-6


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=60), st.floats(0, 20), st.floats(1e-4, 20))
def test_whatever_the_readings_a_window_has_a_plausible_figure_or_a_reason(
    gaps: list[float], begin: float, length: float
) -> None:
    times = list(accumulate(gaps))
    power = [10.0 + k % 5 for k in range(len(times))]
    counted = list(accumulate(power))
    for energy in (
        power_energy(times, power, begin, begin + length, PERIOD),
        counter_energy(times, counted, begin, begin + length, PERIOD, None),
    ):
        assert (energy.joules is None) != (energy.why is None)
        assert energy.doubt >= 0
    energy = power_energy(times, power, begin, begin + length, PERIOD)
    if energy.joules is not None:
        assert 10 * length - 1e-6 <= energy.joules <= 14 * length + 1e-6


def test_a_window_shorter_than_the_readings_apart_is_unresolved() -> None:
    times = [0.0, 0.05, 0.1, 0.15, 0.2]
    for energy in (
        power_energy(times, [5.0] * 5, 0.06, 0.09, PERIOD),
        counter_energy(times, [1.0, 2.0, 3.0, 4.0, 5.0], 0.06, 0.09, PERIOD, None),
    ):
        assert energy == Energy(None, why="a window of 0.03 s is shorter than the 0.05 s between readings")


def test_a_sensor_that_was_silent_for_long_resolves_nothing() -> None:
    times = [0.0, 0.05, 0.1, 0.8, 0.85, 0.9]
    silent = power_energy(times, [5.0] * 6, 0.02, 0.88, PERIOD)
    assert silent.why == "readings 0.7 s apart are too few for a window of 0.86 s"
    # A counter goes on counting meanwhile, but where its edges lie must be known.
    assert counter_energy(times, [0, 1, 2, 16, 17, 18], 0.02, 0.88, PERIOD, None).joules == pytest.approx(17.2)
    lost = counter_energy(times, [0, 1, 2, 16, 17, 18], 0.4, 0.88, PERIOD, None)
    assert lost.joules is None and "too few" in (lost.why or "")


@pytest.mark.parametrize(("begin", "end"), [(-0.1, 0.15), (0.05, 0.3), (0.3, 0.5)])
def test_what_readings_do_not_cover_has_no_energy(begin: float, end: float) -> None:
    times, values = [0.0, 0.05, 0.1, 0.15, 0.2], [1.0, 2.0, 3.0, 4.0, 5.0]
    for energy in (
        power_energy(times, values, begin, end, PERIOD),
        counter_energy(times, values, begin, end, PERIOD, None),
        power_energy([], [], begin, end, PERIOD),
        counter_energy([], [], begin, end, PERIOD, None),
        power_energy([0.1], [1.0], begin, end, PERIOD),
    ):
        assert energy.why == "the readings do not cover the window"


def test_a_counter_that_was_reset_says_so_around_that_moment_alone() -> None:
    times = [0.1 * k for k in range(12)]
    counted = [400.0 + k for k in range(6)] + [float(k) for k in range(6)]
    for span in (None, 1000.0):  # 595 of 1000 J cannot have passed in 0.1 s
        assert steps(times, counted, span)[2] == [times[6]]
        across = counter_energy(times, counted, 0.2, 0.9, 0.1, span)
        assert across.why == "the counter of energy was reset"
        assert counter_energy(times, counted, 0.1, 0.4, 0.1, span).joules == pytest.approx(3.0)
        assert counter_energy(times, counted, 0.7, 1.0, 0.1, span).joules == pytest.approx(3.0)
