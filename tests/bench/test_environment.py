"""Warnings about the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from compiler.bench import environment
from compiler.bench.environment import OtherLoad, environment_warnings, scaling_governors, series_warnings
from tests.waiting import attempts


def test_other_processes_are_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            time.sleep(0.2)  # let it start
            for attempt in attempts(0.0):
                with attempt:
                    others = OtherLoad().cpus()
                    assert others > 0.3
                    assert any("other processes use" in warning for warning in environment_warnings(1, others))
        finally:
            process.kill()


def test_what_others_do_during_the_measurement_counts() -> None:
    """Not before and not after it: the load is of the window from the making to the question."""
    code = "import time\nend = time.time() + 1\nwhile time.time() < end: pass"
    for attempt in attempts(0.0):
        with attempt:
            load = OtherLoad()
            subprocess.run([sys.executable, "-c", code], check=True)
            assert load.cpus() > 0.3


def test_our_own_load_is_not_others() -> None:
    """What others may have used is what we did not."""
    for attempt in attempts(0.0):  # two windows that should be one
        with attempt:
            our_own_load_is_not_others()


def our_own_load_is_not_others() -> None:
    def spin() -> None:
        while time.thread_time() < 0.5:
            pass

    thread = threading.Thread(target=spin)
    load = OtherLoad()
    own, started = time.process_time(), time.perf_counter()
    thread.start()
    thread.join()
    others = load.cpus()
    share = (time.process_time() - own) / (time.perf_counter() - started)
    assert others < len(os.sched_getaffinity(0)) - share + 0.2


def test_governors(tmp_path: Path) -> None:
    assert scaling_governors(tmp_path) == []
    cpus = sorted(os.sched_getaffinity(0))
    for cpu in cpus:
        folder = tmp_path / f"cpu{cpu}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text("performance\n")
    assert scaling_governors(tmp_path) == []
    (tmp_path / f"cpu{cpus[0]}" / "cpufreq" / "scaling_governor").write_text("powersave\n")
    assert scaling_governors(tmp_path) == ["powersave"]


def test_quota_and_affinity_below_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "cpu_quota", lambda: 1.5)
    warnings = environment_warnings(4096, others=0.0)
    assert any("quota of 1.5 CPUs is below the 4096 threads" in warning for warning in warnings)
    assert any("fewer than the 4096 threads" in warning for warning in warnings)
    assert not any("quota" in warning for warning in environment_warnings(1, others=0.0))


def test_series() -> None:
    assert series_warnings(runs=100, cv=0.05) == []
    assert "varies by 6.0%" in series_warnings(runs=100, cv=0.06)[0]
    assert "varies by 1688%" in series_warnings(runs=100, cv=16.881)[0]
    assert "only 99 runs" in series_warnings(runs=99, cv=0.0)[0]
