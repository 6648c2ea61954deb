"""`edgetune bench --power-csv`: a program logs a meter while the command runs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import targets
from compiler.bench.result import Result
from compiler.report.document.reading import read_results
from tests.command import edgetune_here, one_line
from tests.runtime import small
from tests.waiting import attempts

pytestmark = pytest.mark.skipif(
    targets.why_not_run(targets.get(small.TARGET)) is not None, reason=f"this CPU cannot run {small.TARGET}"
)
SHORT = ("--runs", "5", "--seconds", "0.6")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.package(tmp_path_factory.mktemp("package"), verified=True).path


@contextmanager
def logging(path: Path, watts: float = 9.5) -> Iterator[Path]:
    """A meter that reads fifty times a second."""
    path.write_text("time,watts\n")
    ended = threading.Event()

    def log() -> None:
        with path.open("a", buffering=1) as file:
            while not ended.wait(0.02):
                file.write(f"{time.time():.3f},{watts}\n")

    thread = threading.Thread(target=log)
    thread.start()
    time.sleep(0.1)
    try:
        yield path
    finally:
        ended.set()
        thread.join()


def results(path: Path) -> list[Result]:
    loaded = read_results([path])
    assert not loaded.bad, loaded.bad
    return loaded.results


@pytest.fixture(autouse=True)
def shortly_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.bench.power.metering.IDLE_S", 0.2)


def test_a_meters_log_becomes_watts_in_result_table_and_report(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    for attempt in attempts(0.0):  # a meter that gets no processor writes too little
        with attempt:
            out.unlink(missing_ok=True)
            with logging(tmp_path / "meter.csv") as meter:
                done = edgetune_here("bench", package, *SHORT, "--power-csv", meter, "--json", out)
            (result,) = results(out)
            power = result.power
            assert power is not None and power.reason is None, power
    assert result.watts == pytest.approx(9.5, rel=1e-3) and result.images_per_s is not None
    assert result.images_per_s_per_w == pytest.approx(result.images_per_s / result.watts)
    assert power.of_windows >= 5 and power.seconds is not None and power.seconds >= 0.5
    assert result.power_source is not None and result.power_source.startswith(
        "meter.csv (what the meter feeds), a reading"
    )
    assert "images/s/W" in done.stdout and "power: meter.csv" in done.stdout
    page = tmp_path / "report.md"
    edgetune_here("report", out, "-o", page)
    text = page.read_text()
    assert "## Power" in text and "| 9.50 |" in text and "meter.csv (what the meter feeds)" in text


def test_a_log_of_another_time_is_refused_and_the_times_are_kept(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    with logging(tmp_path / "meter.csv") as meter:
        options = ("--power-csv", meter, "--power-offset", "-7200", "--json", out)
        done = edgetune_here("bench", package, *SHORT, *options, check=1)
    line = one_line(done.stderr)
    assert "power was not measured" in line and "covers" in line and "--power-offset" in line
    (result,) = results(out)
    assert result.latency_ms is not None and result.watts is None and result.images_per_s_per_w is None
    assert result.power is not None and result.power.reason is not None and result.power.reason in line
    assert f"power: not measured: {result.power.reason}" in done.stdout


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--power-csv", "none.csv"), "there is no such file"),
        (("--power-offset", "2"), "--power-offset is for --power-csv FILE"),
        (("--power-csv", "meter.csv", "--power-offset", "nan"), "--power-offset is a number of seconds"),
        (("--power-csv", "bad.csv"), "bad.csv:1: the first line must name the columns time and watts"),
        (("--power-csv", "meter.csv", "--aa"), "--aa compares times"),
    ],
)
def test_what_cannot_be_meant_is_refused_first(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("seconds;power\n1;2\n")
    (tmp_path / "meter.csv").write_text("time,watts\n")
    done = edgetune_here("bench", package, *options, check=2)
    assert reason in one_line(done.stderr)


def test_without_a_sensor_the_result_and_the_report_say_so(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    done = edgetune_here("bench", package, "--runs", "3", "--seconds", "0", "--json", out)
    line = json.loads(out.read_text())
    if line["power"]["reason"] is None:
        assert line["watts"] > 0 and line["power"]["source"], "there is a sensor here, and it says what it is"
        return
    assert line["watts"] is None and line["images_per_s_per_w"] is None and line["power_source"] is None
    assert f"power: not measured: {line['power']['reason']}" in done.stdout
    edgetune_here("report", out, "-o", tmp_path / "report.md")
    assert line["power"]["reason"].replace("_", "\\_") in (tmp_path / "report.md").read_text()
