"""Trials a minute with 1, 2, 4 and 8 boards, and where building limits them.

    python benchmarks/boards_scaling.py [--boards 1,2,4,8] [--builders none,4,8,real] [--seconds 20] [--json FILE]

The boards are agents on this machine, behind a tracker, whose measurement is replaced: they wait as long as a kernel of
50 ms would take to be measured (six calls of it) and return times around that, so that eight of them fit into two
cores. All the rest is real: the search, the records, the upload, the sessions. The builders are

    none    a library that was built before is handed out at once: what the boards and the desk can do;
    4, 8    so many builds at a time that wait as a build of half a second would: one build host, and a second one;
    real    this machine's cores build every candidate.

A row's `linear` is its rate over that of as many boards as if each did what one does without building. The rate is
that of `--seconds`, beginning when every task has had its first trial. Run it on a quiet machine: what the search gets
of its cores decides how many boards it can keep busy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

KERNEL_SECONDS = 0.050
CALLS = 6  # the first, one to wake threads, one to know how long it takes, three repeats
BUILD_SECONDS = 0.5
KEY = "waiting"


def serve(tracker: str) -> None:
    """Runs in a process of its own: an agent whose measurement waits."""
    from compiler.commands.serve import ServeOptions
    from compiler.commands.serve import serve as run
    from compiler.runtime.agent import functions

    class Waiting(functions.Measure):
        """Takes as long as a kernel of KERNEL_SECONDS takes, and computes nothing."""

        def __call__(self, text: str) -> dict[str, Any]:
            seconds = KERNEL_SECONDS * random.uniform(0.9, 1.1)
            time.sleep(CALLS * seconds)
            return {"seconds": [seconds] * 3}

    functions.Measure = Waiting  # type: ignore[misc]
    run(ServeOptions(0, KEY, tracker, None, False, 3600.0, None, False))


@contextmanager
def programs(count: int) -> Iterator[int]:
    """A tracker and so many agents; the tracker's port."""
    started = []

    def start(*command: str) -> int:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(process)
        return int(process.stdout.readline().rpartition(":")[2])  # type: ignore[union-attr]

    try:
        port = start(sys.executable, str(ROOT / "cli.py"), "tracker", "--port", "0")
        for _ in range(count):
            start(sys.executable, __file__, "--serve", f"127.0.0.1:{port}")
        yield port
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


class Prebuilt:
    """A builder that hands out one library under the name of every candidate: at once, or after `seconds`."""

    def __init__(self, library: Path, parallel: int, seconds: float) -> None:
        self.library = library
        self.parallel = parallel
        self.seconds = seconds
        self.closed = threading.Event()

    def map(
        self,
        kind: str,
        jobs: Sequence[dict[str, Any]],
        timeout: float,
        stop: Callable[[], bool] | None = None,
        done: Callable[[int, Any], None] | None = None,
    ) -> list[Any]:
        from compiler.tuning.workers import Outcome

        def build(index: int) -> Outcome:
            if stop is not None and stop():
                return Outcome(error="not run")
            if self.seconds:
                self.closed.wait(self.seconds * random.uniform(0.8, 1.2))
            shutil.copyfile(self.library, jobs[index]["library"])
            outcome = Outcome(value=(jobs[index]["library"], [((4,), "float32"), ((4,), "float32")]))
            if done is not None:
                done(index, outcome)
            return outcome

        if not self.seconds:
            return [build(index) for index in range(len(jobs))]
        with ThreadPoolExecutor(self.parallel) as pool:
            return list(pool.map(build, range(len(jobs))))

    def abandon(self) -> None:
        self.closed.set()


def rate(model: Any, builder: Any, port: int, boards: int, seconds: float) -> dict[str, Any]:
    """Trials a minute of a run with a fresh store, and what the desk did meanwhile."""
    import targets
    from compiler.commands.device import identity_at
    from compiler.records.store import open_store
    from compiler.runtime.rpc import tracker
    from compiler.runtime.rpc.address import Address, Way
    from compiler.tuning.boards.fleet import Fleet
    from compiler.tuning.tune import Budget, tune

    way = Way(Address("127.0.0.1", port), KEY)
    while len(tracker.boards(way.address)) < boards:
        time.sleep(0.1)
    target = targets.get("native", 1)
    window: dict[str, float] = {}

    def progress(state: Any) -> None:
        now = time.monotonic()
        if not all(task.trials for task in state.tasks):
            return
        begin = window.setdefault("begin", now)
        trials = window.setdefault("trials", float(state.trials))
        if now - begin >= seconds:
            window["rate"] = 60 * (state.trials - trials) / (now - begin)
            raise KeyboardInterrupt

    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(Path(folder)) as store,
        Fleet(way, target, identity_at(way)) as fleet,
    ):
        summary = tune(model, target, store=store, budget=Budget(), progress=progress, runner=fleet, builder=builder)
    if "rate" not in window:
        sys.exit(f"the model has too few candidates: {summary.trials} trials, {summary.ended}")
    whole = sum(summary.spent.values())
    return {
        "boards": boards,
        "trials_per_minute": round(window["rate"], 1),
        "failed": summary.failed,
        "desk": {name: round(took / whole, 3) for name, took in summary.spent.items()},
    }


def library(folder: Path) -> Path:
    """A library as a builder makes them."""
    from compiler.tuning.workers import Pool
    from tests.tuning import libraries

    with Pool(1, 1) as pool:
        [outcome] = pool.map("build", [libraries.build_job(folder)], 120)
    if outcome.error is not None:
        sys.exit(outcome.error)
    return Path(outcome.value[0])


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--serve":
        serve(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", default="1,2,4,8")
    parser.add_argument("--builders", default="none,4,8,real")
    parser.add_argument("--model", default="googlenet")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json")
    options = parser.parse_args()
    from compiler.frontend import load
    from compiler.tuning.workers import Pool

    model = load(options.model)
    counts = [int(count) for count in options.boards.split(",")]
    rows: list[dict[str, Any]] = []
    single: float | None = None
    print(f"{'builders':>8} {'boards':>6} {'trials/min':>10} {'linear':>7}  the desk's time")
    with tempfile.TemporaryDirectory() as folder:
        made = library(Path(folder))
        for builders in options.builders.split(","):
            for count in counts:
                with programs(count) as port:
                    if builders == "real":
                        with Pool(len(os.sched_getaffinity(0)), 1) as pool:
                            row = rate(model, pool, port, count, options.seconds)
                    else:
                        wait = builders != "none"
                        builder = Prebuilt(made, int(builders) if wait else 4, BUILD_SECONDS if wait else 0.0)
                        row = rate(model, builder, port, count, options.seconds)
                if single is None:
                    single = row["trials_per_minute"] / count
                row = {"builders": builders, **row, "linear": round(row["trials_per_minute"] / (single * count), 3)}
                rows.append(row)
                print(
                    f"{builders:>8} {count:6} {row['trials_per_minute']:10.1f} {row['linear']:7.2f}  {row['desk']}",
                    flush=True,
                )
    if options.json:
        with Path(options.json).open("a", encoding="utf-8") as out:
            out.writelines(json.dumps({"model": options.model, **row}) + "\n" for row in rows)


if __name__ == "__main__":
    main()
