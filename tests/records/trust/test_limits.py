"""A process that has confined itself: nothing is opened, written or started; its answers are data."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import compiler
from compiler.records.trust import admission, confined
from compiler.tuning.workers import EXAMINER, Outcome, Worker
from tests.records.trust.kernels import edited, schedule, workload

ROOT = Path(compiler.__file__).parents[1]

TRIES = {
    "read a file": "open('/etc/hostname').read()",
    "write a file": "open('canary', 'w').write('x')",
    "write to an open file": "os.write(opened, b'x' * 10)",
    "connect": "socket.socket()",
    "run a program": "subprocess.run(['/bin/touch', 'canary'], check=True)",
    "take all memory": "bytearray(3 << 30)",
}


@pytest.mark.parametrize("what", TRIES)
def test_a_confined_process_cannot(what: str, tmp_path: Path) -> None:
    program = f"""
import os, signal, socket, subprocess, sys
from compiler.records.trust.limits import confine
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
opened = os.open('mine', os.O_CREAT | os.O_WRONLY)
confine()
try:
    {TRIES[what]}
except (OSError, MemoryError, subprocess.SubprocessError):
    os._exit(7)
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=240
    )
    assert done.returncode == 7
    assert not (tmp_path / "canary").exists()
    assert (tmp_path / "mine").stat().st_size == 0


def test_a_process_that_computes_for_too_long_is_ended() -> None:
    program = "from compiler.records.trust.limits import allow_seconds\nallow_seconds(0.1)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=240)
    assert done.returncode < 0


class Evil:
    """What runs a program when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.canary}",)


@pytest.mark.parametrize("answer", ["pickle", "text", "number", "list"])
def test_what_a_process_that_was_taken_over_answers_is_not_run(answer: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    sent = {
        "pickle": pickle.dumps((True, Evil(canary))),
        "text": b'"ready"',
        "number": b"7",
        "list": b"[true]",
    }[answer]
    ours, theirs = socket.socketpair()
    worker = Worker(1, EXAMINER)
    worker.connection, worker.ready = Connection(ours.detach()), True
    worker.process = subprocess.Popen(["sleep", "600"])
    Connection(theirs.detach()).send_bytes(sent)
    outcome = worker.take()
    assert outcome is not None and outcome.error is not None
    worker.stop()
    assert not canary.exists()


def test_jobs_that_crash_or_never_end_leave_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, good = workload(), schedule()
    long = edited(good, lambda i, _: i.extend([["GetLoops", ["b0"], [], []]] * 9_000))
    jobs = [
        {"module": kept.ir, "trace": good},
        {"module": "{", "trace": good},
        {"module": kept.ir, "trace": long},
        {"module": kept.ir, "trace": good},
    ]
    monkeypatch.setattr(admission, "SECONDS", 120.0)
    first, broken, other, last = admission.look("examine", jobs)
    assert (first, last) == (None, None)
    assert broken is not None and broken.startswith("applying it failed")
    assert other is not None


def test_a_time_that_is_up_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "SECONDS", 0.0)
    [reason] = admission.look("examine", [{"module": workload().ir, "trace": schedule()}])
    assert reason is not None and "timed out" in reason


def test_a_trace_that_computes_for_too_long() -> None:
    outcome = Outcome(error="crashed: SIGXCPU")
    assert admission._reason(outcome) == f"applying it takes more than {confined.CPU_SECONDS:g} s"
