"""`edgetune tune` as processes: killed at any moment, interrupted, and two of them at one store."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

import cli
from compiler.records.record import CHECK_RUN
from compiler.records.store import FILE_NAME, open_store
from tests.command import one_line
from tests.tuning import models

ROOT = Path(cli.__file__).parent
TRIALS = 20


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    model = models.convolutions(folder)
    assert onnx.load(model.source)
    return Path(model.source)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """The processes that a test starts; none is left behind, whatever fails."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def start(started: list[subprocess.Popen[str]], source: Path, logs: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "cli.py"), "tune", str(source), "--logs", str(logs), *more]
    # A group of its own, so that Ctrl-C can be sent to all of it, as a terminal does. What is temporary lies with the
    # logs, where a test sees what is left.
    temporary = logs / "temporary"
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    started.append(process)
    return process


def trials(logs: Path) -> dict[str, str]:
    """Every trial in the store: its id and its run."""
    if not (logs / FILE_NAME).exists():
        return {}
    with open_store(logs) as store:
        return {record.id: record.run for record in store.records() if record.run != CHECK_RUN}


def wait_for(process: subprocess.Popen[str], logs: Path, count: int) -> int:
    """Wait until the store holds `count` trials or the process has ended; how many there are."""
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline and len(trials(logs)) < count:
        time.sleep(0.05)
    return len(trials(logs))


def group(leader: int) -> list[int]:
    """The processes of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state not in ("Z", "X"):
            found.append(int(path.parent.name))
    return found


def assert_gone(leader: int) -> None:
    deadline = time.monotonic() + 60
    while group(leader) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = group(leader)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "workers outlive the command"


def summary(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text().splitlines()[-1])


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_and_loses_nothing(
    source: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    # A run that has ended by itself when it is to be killed, because this was held up, says nothing.
    assert any(killed_it_goes_on(source, tmp_path / f"logs{number}", started) for number in range(4))


def killed_it_goes_on(source: Path, tmp_path: Path, started: list[subprocess.Popen[str]]) -> bool:
    """Kill a run three times, and let it end; False where it had ended before."""
    tmp_path.mkdir()
    moments = random.Random(5)
    before: dict[str, str] = {}
    # The last kill comes soon after the trials waited for, or the run might have ended by itself.
    for at_least, later in ((0, 1.5), (3, 0.3), (10, 0.3)):
        process = start(started, source, tmp_path, "--trials", str(TRIALS))
        seen = wait_for(process, tmp_path, at_least)
        time.sleep(moments.uniform(0.0, later))
        process.kill()  # the workers are left to find out by themselves
        process.wait()
        assert_gone(process.pid)
        if process.returncode == 0:
            return False
        assert process.returncode == -signal.SIGKILL
        after = trials(tmp_path)
        assert before.items() <= after.items() and len(after) >= seen
        before = after
        with open_store(tmp_path) as store:
            assert store.check() == []
    last = start(started, source, tmp_path, "--trials", str(TRIALS), "--json", str(tmp_path / "out.jsonl"))
    _, said = last.communicate(timeout=240)
    assert last.returncode == 0, said
    after = trials(tmp_path)
    assert before.items() <= after.items()
    found = summary(tmp_path / "out.jsonl")
    assert found["resumed"] == len(before)
    assert found["trials"] == len(after) == TRIALS
    assert len(set(after.values())) == 1, "all of them are one run"
    assert list((tmp_path / "temporary").iterdir()) == [], "what killed runs left is gone, too"
    return True


@pytest.mark.slow
def test_two_at_one_store(source: Path, tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    pair = [
        start(started, source, tmp_path, "--trials", "12", "--seed", seed, "--json", str(tmp_path / f"{seed}.jsonl"))
        for seed in ("1", "2")
    ]
    for process in pair:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said
    runs = list(trials(tmp_path).values())
    assert [summary(tmp_path / f"{seed}.jsonl")["trials"] for seed in ("1", "2")] == [12, 12]
    assert sorted(runs.count(run) for run in set(runs)) == [12, 12]
    with open_store(tmp_path) as store:
        assert store.check() == []


@pytest.mark.slow
@pytest.mark.parametrize("at_least", [0, 2])
def test_ctrl_c_ends_with_130_whenever_it_comes(
    at_least: int, source: Path, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    process = start(started, source, tmp_path)
    seen = wait_for(process, tmp_path, at_least)
    if not at_least:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and "libtvm" not in Path(f"/proc/{process.pid}/maps").read_text():
            time.sleep(0.05)
        time.sleep(0.3)  # TVM is being loaded here and in the workers
    os.killpg(process.pid, signal.SIGINT)
    shown, said = process.communicate(timeout=240)
    assert process.returncode == 130, said
    assert said.count("interrupted") == 1
    assert one_line(said).startswith("error: interrupted")
    if at_least:
        assert "trials" in shown and "the same command goes on" in one_line(said)
    assert_gone(process.pid)
    assert len(trials(tmp_path)) >= seen
