"""Several real processes write into one store while some are killed: what was acknowledged stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from compiler.records.store import Store
from tests.records.samples import HASHES, store_with

ROOT = Path(__file__).parents[2]

# Writes records one after the other, and an id to stdout once `add` has returned: that record is acknowledged.
WRITER = """
import sys
from compiler.records.store import Store
from tests.records.samples import WORKLOADS, record
number = int(sys.argv[2])
with Store(sys.argv[1]) as store:
    for workload in WORKLOADS:
        store.add_workload(workload)
    for i in range(10**9):
        one = record(seed=number * 10**6 + i, workload=WORKLOADS[i % 3].hash)
        assert store.add(one)
        sys.stdout.write(one.id + "\\n")
        sys.stdout.flush()
        store.best(one.workload, one.fingerprint)
"""


def start(path: Path, number: int, folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
    acknowledged = folder / f"{number}.txt"
    with acknowledged.open("wb") as out:
        command = [sys.executable, "-c", WRITER, str(path), str(number)]
        return subprocess.Popen(
            command, stdout=out, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        ), acknowledged


def ids(path: Path) -> list[str]:
    """The whole lines of an acknowledgement file: the last one may be torn by the kill."""
    return [line for line in path.read_text().split("\n")[:-1] if line]


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    steady = [start(path, number, tmp_path) for number in range(2)]  # they race to create the file as well
    files = [file for _, file in steady]
    killed = 0
    try:
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline or killed < 5 or sum(len(ids(file)) for file in files) <= 50:
            victim, file = start(path, 100 + killed, tmp_path)
            files.append(file)
            until = time.monotonic() + 60
            while not ids(file) and time.monotonic() < until:  # killed in the middle of writing, not while starting
                time.sleep(0.01)
            time.sleep(0.013 * (killed % 7))
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            killed += 1
            assert all(process.poll() is None for process, _ in steady)
    finally:
        for process, _ in steady:
            process.kill()
            process.wait()
    acknowledged = {line for file in files for line in ids(file)}
    assert killed >= 5
    assert len(acknowledged) > 50
    with Store(path) as store:
        assert store.check() == []
        kept = {record.id for record in store.records()}
        assert acknowledged <= kept
        assert len(kept) <= len(acknowledged) + len(files)  # at most the one in flight of each writer beyond those


def test_many_processes_open_a_new_store_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "records.db"
    code = (
        "import sys; from compiler.records.store import Store; from tests.records.samples import *\n"
        "with Store(sys.argv[1]) as s:\n"
        "    [s.add_workload(w) for w in WORKLOADS]; s.add(record(seed=int(sys.argv[2])))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(n)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        for n in range(6)
    ]
    assert [process.wait() for process in processes] == [0] * 6
    with Store(path) as store:
        assert store.trials(HASHES[0], "x86-avx2-2-abc123") == 6


def test_a_killed_batch_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    store_with(path, []).close()
    code = (
        "import sys; from compiler.records.store import Store; from tests.records.samples import *\n"
        "s = Store(sys.argv[1])\n"
        "for n in range(10**6):\n"
        "    s.add_many([record(seed=n * 50 + i, run=str(n)) for i in range(50)])\n"
        "    n or print(flush=True)\n"
    )
    for round_number in range(3):
        command = [sys.executable, "-c", code, str(path)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.3 + 0.017 * round_number)
        process.kill()
        process.communicate()
        with Store(path) as store:
            counts = store.query("SELECT run, count(*) FROM records GROUP BY run")
            assert counts
            assert all(count == 50 for _, count in counts)
