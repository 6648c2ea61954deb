"""An external meter beside a measurement: its log is laid over the windows by the time of day."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from compiler.bench.power.external import ExternalMeter, must_be_log
from compiler.bench.power.meter import Clock
from compiler.bench.power.metering import Metering
from compiler.bench.protocol import Measurement
from compiler.errors import EdgetuneError, UsageError
from compiler.runtime.timing import Timing, Window, time_invocations
from tests.waiting import attempts


def write(path: Path, first: float, watts: list[float], period: float = 1.0, zone: timezone = timezone.utc) -> Path:
    times = (datetime.fromtimestamp(first + k * period, zone).isoformat() for k in range(len(watts)))
    path.write_text("time,watts\n" + "".join(f"{at},{one}\n" for at, one in zip(times, watts, strict=True)))
    return path


def measured(*windows: Window) -> Measurement:
    return Measurement("edgetune", tuple(Timing((0.01,), 0.0, 1.0, (window,)) for window in windows), "")


@pytest.mark.parametrize("hours", [0, 9, -8])
def test_a_step_is_found_where_it_was_whatever_the_time_zone(tmp_path: Path, hours: int) -> None:
    noon = 1_764_072_000.0
    watts = [20.0] * 100 + [80.0] * 51 + [20.0] * 50
    path = write(tmp_path / "meter.csv", noon, watts, zone=timezone(timedelta(hours=hours)))
    meter = ExternalMeter(path)
    meter.start()
    # Between two readings the step is linear: half a second of it on each side.
    step, idle = Window(5.0, 55.0, noon + 100), Window(0.0, 50.0, noon + 20)
    readings = meter.stop([idle, step])
    assert [energy.joules for energy in readings.windows] == [pytest.approx(1000.0), pytest.approx(4000.0)]
    assert (readings.source, readings.interval) == ("meter.csv", 1.0)


def test_the_meters_own_clock_is_set_right_by_an_offset(tmp_path: Path) -> None:
    path = write(tmp_path / "meter.csv", 1000.0, [10.0] * 20 + [50.0] * 40 + [10.0] * 20)
    late = ExternalMeter(path, offset=300.0)
    late.start()
    assert late.stop([Window(0.0, 39.0, 1320.0)]).windows[0].joules == pytest.approx(39 * 50.0)


def test_a_log_that_does_not_cover_the_measurement_is_refused_in_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "meter.csv", 1_764_072_000.0, [5.0] * 10)
    meter = ExternalMeter(path)
    meter.start()
    with pytest.raises(EdgetuneError) as raised:
        meter.stop([Window(0.0, 5.0, 1_764_072_005.0)])
    assert str(raised.value) == (
        f"{path} covers 2025-11-25T12:00:00Z to 2025-11-25T12:00:09Z, and this was measured from 2025-11-25T12:00:05Z "
        "to 2025-11-25T12:00:10Z: its clock may be wrong (--power-offset), or its time zone"
    )


def test_windows_shorter_than_its_readings_are_unresolved_and_say_what_helps(tmp_path: Path) -> None:
    path = write(tmp_path / "meter.csv", 1000.0, [30.0] * 60)
    metering = Metering(ExternalMeter(path))
    metering._meter.start()  # type: ignore[union-attr]  # without the idle window: this was in the past
    (power,) = metering.powers([measured(Window(0.0, 0.6, 1010.2), Window(1.0, 1.6, 1011.2))])
    assert power is not None and power.watts is None and power.joules is None and power.uncertainty is None
    assert power.reason == (
        "unresolved in 2 of 2 windows: a window of 0.6 s is shorter than the 1 s between readings; more --seconds make "
        "longer windows"
    )


def test_a_log_that_goes_on_is_waited_for(tmp_path: Path) -> None:
    for attempt in attempts(0.0):  # a meter that gets no processor writes too little
        with attempt:
            a_log_that_goes_on_is_waited_for(tmp_path)


def a_log_that_goes_on_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    began = time.time()
    ended = threading.Event()

    def meter_program() -> None:
        with path.open("a", buffering=1) as file:
            while not ended.wait(0.02):
                file.write(f"{time.time() - 0.3:.3f},{7.5}\n")  # it writes what it has read a little later

    path.write_text("time,watts\n" + "".join(f"{began - k / 50:.3f},7.5\n" for k in range(100, 16, -1)))
    thread = threading.Thread(target=meter_program)
    thread.start()
    try:
        with Metering(ExternalMeter(path), idle_seconds=0.2) as metering:
            timing = time_invocations(lambda: time.sleep(0.01), runs=1, seconds=0.3, edges=metering.edges)
            (power,) = metering.powers([Measurement("edgetune", (timing,), "")])
    finally:
        ended.set()
        thread.join()
    assert power is not None and power.watts == pytest.approx(7.5)
    assert power.idle_watts == pytest.approx(7.5) or "used" in (power.idle_reason or "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "no such file: start the meter's log first"), ("time;power\n", "must name the columns"), ("", "no line")],
)
def test_what_is_no_log_is_refused_before_anything_is_measured(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "meter.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        must_be_log(str(path), 0.0)


def test_windows_are_on_the_time_of_day_too() -> None:
    for attempt in attempts(0.0):
        with attempt:
            timing = time_invocations(lambda: time.sleep(0.005), runs=4, seconds=0.0, warmup_runs=3, edges=Clock())
            (window,) = timing.windows
            assert 0.02 <= window.end - window.begin < 1
            assert abs(window.wall - timing.began) < 0.01 and abs(time.monotonic() - window.end) < 1
