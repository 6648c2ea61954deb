"""Kill a tuning run with SIGKILL at random moments, resume it with the same command, and count what was lost.

    python benchmarks/kill_resume.py [--model squeezenet] [--kills 20] [--trials 500] [--longest 6] [--seed 0]

Each kill comes at a random moment after the run's first own trial, so that it falls into searching, building, measuring
or writing. The store's trials are counted through a connection of its own before a kill; after it the store must pass
SQLite's integrity check and hold at least as many. A run has gone on if it adds to what was there. The last one is let
finish: it must count all of them as its own, and make exactly those that are missing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
START_SECONDS = 120.0


def trials(folder: Path) -> dict[str, str]:
    """Every trial that is kept: its id and its run."""
    from compiler.records.record import CHECK_RUN
    from compiler.records.store import open_store

    if not (folder / "records.db").exists():
        return {}
    with open_store(folder) as store:
        return {record.id: record.run for record in store.records() if record.run != CHECK_RUN}


def problems(folder: Path) -> list[str]:
    from compiler.records.store import open_store

    if not (folder / "records.db").exists():
        return []
    with open_store(folder) as store:
        return store.check()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="squeezenet")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--longest", type=float, default=6.0, help="seconds between a run's first trial and its kill")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    lost = corrupt = went_on = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, str(ROOT / "cli.py"), "tune", options.model, "--trials", str(options.trials)]
        command += ["--logs", str(folder)]
        environment = {**os.environ, "EDGETUNE_NO_SHIPPED_LOGS": "1"}
        for kill in range(1, options.kills + 1):
            known = trials(folder)
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=environment
            )
            deadline = time.monotonic() + START_SECONDS
            while process.poll() is None and len(trials(folder)) == len(known) and time.monotonic() < deadline:
                time.sleep(0.1)
            delay = moments.uniform(0.0, options.longest)
            time.sleep(delay)
            if process.poll() is not None:
                sys.exit(f"kill {kill}: it had ended with status {process.returncode}: give it more --trials")
            before = trials(folder)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            after, wrong = trials(folder), problems(folder)
            lost += len(before.keys() - after.keys()) + len(known.keys() - after.keys())
            corrupt += bool(wrong)
            went_on += len(after) > len(known) and len(set(after.values())) == 1
            made = len(after) - len(known)
            print(
                f"kill {kill:2}: {delay:4.1f} s after its first trial; {len(known)} trials were there, {made} new"
                f"{', ' + wrong[0] if wrong else ''}",
                flush=True,
            )
        known = trials(folder)
        found = folder / "summary.jsonl"
        done = subprocess.run([*command, "--json", str(found)], capture_output=True, text=True, env=environment)
        total = trials(folder)
        summary = json.loads(found.read_text().splitlines()[-1]) if found.exists() else {}
        print(
            f"the last run ended with status {done.returncode}: it went on from {summary.get('resumed')} of "
            f"{len(known)} trials, counts {summary.get('trials')}, and {len(total)} are kept"
        )
    print(f"{lost} records lost, {corrupt} corrupt stores, {went_on} of {options.kills} went on")
    whole = summary.get("resumed") == len(known) and summary.get("trials") == len(total)
    good = done.returncode == 0 and not lost and not corrupt and went_on == options.kills and whole
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
