"""Worker processes: whatever a candidate does to them, its owner gets an outcome and the next job runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import compiler
from compiler.tuning.workers import Pool
from tests.tuning import libraries
from tests.waiting import PATIENT_SECONDS, attempts, wait_for

ROOT = Path(compiler.__file__).parents[1]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Two workers that the tests of this module share: surviving the other tests is part of what is tested."""
    with Pool(2, 1) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("libraries")


@pytest.fixture(scope="module")
def good(pool: Pool, folder: Path) -> dict[str, object]:
    return libraries.built(pool, folder)


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_a_candidate_is_built_and_measured(pool: Pool, good: dict[str, object]) -> None:
    assert libraries.good(pool.map("measure", [good], PATIENT_SECONDS)[0])


@pytest.mark.parametrize(
    ("what", "error"),
    [("crash", "crashed: SIGSEGV"), ("abort", "crashed: SIGABRT"), ("exit", "ended with status 7")],
)
def test_a_crash_is_an_outcome_and_the_next_job_runs(
    pool: Pool, folder: Path, good: dict[str, object], what: str, error: str
) -> None:
    bad = libraries.measure_job(libraries.misbehaving(folder, what))
    outcomes = pool.map("measure", [bad, good], PATIENT_SECONDS)
    assert outcomes[0].error == error
    assert libraries.good(outcomes[1])
    assert libraries.good(pool.map("measure", [good], PATIENT_SECONDS)[0])


@pytest.mark.parametrize("what", ["hang", "spin"])
def test_a_stuck_candidate_is_killed_after_its_time(
    pool: Pool, folder: Path, good: dict[str, object], what: str
) -> None:
    bad = libraries.measure_job(libraries.misbehaving(folder, what))
    assert all(libraries.good(o) for o in pool.map("measure", [good] * 4, PATIENT_SECONDS))
    for attempt in attempts(0.0):  # a good one that gets no processor is late too
        with attempt:
            outcomes = pool.map("measure", [bad, good, good], 1.5)
            assert outcomes[0].error == "timed out after 1.5 s"
            assert libraries.good(outcomes[1]) and libraries.good(outcomes[2])


def test_a_stuck_candidate_in_a_fresh_worker_is_killed_after_its_time_too(folder: Path) -> None:
    bad = libraries.measure_job(libraries.misbehaving(folder, "hang"))
    with Pool(1, 1) as fresh:
        started = time.monotonic()
        assert [o.error for o in fresh.map("measure", [bad, bad], 1)] == ["timed out after 1 s"] * 2
        assert time.monotonic() - started < 240, "loading TVM takes seconds, not minutes"


def test_outcomes_keep_the_order_of_jobs_and_a_crash_takes_only_its_own(
    pool: Pool, folder: Path, good: dict[str, object]
) -> None:
    bad = libraries.measure_job(libraries.misbehaving(folder, "crash"))
    outcomes = pool.map("measure", [good, bad, good, good, bad, good], PATIENT_SECONDS)
    assert [o.error for o in outcomes] == [None, "crashed: SIGSEGV", None, None, "crashed: SIGSEGV", None]


def test_kill_9_in_the_middle_of_a_job(pool: Pool, folder: Path, good: dict[str, object]) -> None:
    bad = libraries.measure_job(libraries.misbehaving(folder, "hang"))
    assert all(libraries.good(o) for o in pool.map("measure", [good, good], PATIENT_SECONDS))
    pids = [w.process.pid for w in pool.workers if w.process is not None]

    def kill() -> None:
        wait_for(lambda: all("/hang.so" in Path(f"/proc/{pid}/maps").read_text() for pid in pids))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    assert [o.error for o in pool.map("measure", [bad, bad], 2 * PATIENT_SECONDS)] == ["crashed: SIGKILL"] * 2
    killer.join()
    assert libraries.good(pool.map("measure", [good], PATIENT_SECONDS)[0])


def test_a_worker_that_dies_between_jobs_is_replaced(pool: Pool, good: dict[str, object]) -> None:
    for worker in pool.workers:
        assert worker.process is not None
        worker.process.kill()
        worker.process.wait()
    assert all(libraries.good(o) for o in pool.map("measure", [good] * 3, PATIENT_SECONDS))


def test_stop_leaves_the_rest_undone(pool: Pool, good: dict[str, object]) -> None:
    answers = iter([False, True])
    outcomes = pool.map("measure", [good] * 6, PATIENT_SECONDS, stop=lambda: next(answers, True))
    assert [libraries.good(o) for o in outcomes] == [True, True, False, False, False, False]
    assert {o.error for o in outcomes[2:]} == {"not run"}
    assert pool.map("measure", [], PATIENT_SECONDS) == []


def test_ctrl_c_gives_up_what_is_under_way_and_leaves_the_pool_usable(
    pool: Pool, folder: Path, good: dict[str, object]
) -> None:
    bad = libraries.measure_job(libraries.misbehaving(folder, "hang"))
    assert all(libraries.good(o) for o in pool.map("measure", [good, good], PATIENT_SECONDS))
    finger = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        finger.start()
        pool.map("measure", [bad, bad, good], PATIENT_SECONDS)
    assert all(libraries.good(o) for o in pool.map("measure", [good] * 3, PATIENT_SECONDS))


def test_what_fails_without_a_crash_is_one_line(pool: Pool, folder: Path, good: dict[str, object]) -> None:
    not_a_library = folder / "text.so"
    not_a_library.write_text("not a library")
    broken = {**libraries.build_job(folder), "module": "{}"}
    for kind, job in (
        ("measure", libraries.measure_job(not_a_library)),
        ("measure", libraries.measure_job(folder / "missing.so")),
        ("build", broken),
    ):
        before = [w.process.pid for w in pool.workers if w.process is not None]
        [outcome] = pool.map(kind, [job], PATIENT_SECONDS)
        assert outcome.error and "\n" not in outcome.error and len(outcome.error) <= 500
        assert before == [w.process.pid for w in pool.workers if w.process is not None], "no worker had to die"


def test_a_worker_that_cannot_start_says_why() -> None:
    with Pool(1, 4096) as impossible:
        [outcome] = impossible.map("measure", [libraries.measure_job(Path("x.so"))], PATIENT_SECONDS)
        assert outcome.error is not None and "4096 threads" in outcome.error


@pytest.mark.parametrize("busy", [False, True])
def test_no_worker_outlives_its_owner(tmp_path: Path, busy: bool) -> None:
    library = libraries.misbehaving(tmp_path, "spin")
    code = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from compiler.tuning.workers import Pool
from tests.tuning.libraries import measure_job
pool = Pool(2, 1)
pool.start()
[o] = pool.map("measure", [measure_job(Path("missing.so"))], 60)
print(*[w.process.pid for w in pool.workers], flush=True)
if {busy}:
    pool.map("measure", [measure_job(Path({str(library)!r}))] * 2, 120)
time.sleep(120)
"""
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    assert len(pids) == 2 and all(alive(pid) for pid in pids)
    time.sleep(3 if busy else 0.2)  # the second worker may still be loading TVM
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + PATIENT_SECONDS
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in pids if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_pytorch_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise RuntimeError('it takes seconds')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    job = {"library": str(tmp_path / "none.so"), "arguments": [], "weights": [], "repeats": 1, "repeat_seconds": 0.0}
    with Pool(1, 1) as one:
        [outcome] = one.map("measure", [{**job, "give_up": None}], 60)
    assert outcome.error is not None and "none.so" in outcome.error
