"""Kill a tuning run with SIGKILL at random moments, resume it with the same command, and count what was lost.

    python benchmarks/kill_resume.py [--model squeezenet] [--kills 20] [--trials 300] [--longest 24] [--seed 0]

Before each kill the store's trials are counted through a connection of its own; after it the store must pass SQLite's
integrity check and hold at least as many. At the end the run is let finish: its trials must be exactly those asked for.
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


def trials(folder: Path) -> int:
    from compiler.records.store import open_store

    if not (folder / "records.db").exists():
        return 0
    with open_store(folder) as store:
        return sum(task.trials for task in store.summary())


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
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--longest", type=float, default=24.0, help="seconds before a kill, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    lost = corrupt = resumed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, str(ROOT / "cli.py"), "tune", options.model, "--trials", str(options.trials)]
        command += ["--logs", str(folder)]
        for kill in range(1, options.kills + 1):
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            delay = moments.uniform(0.5, options.longest)
            try:
                process.wait(delay)
                print(f"kill {kill:2}: the run had ended with status {process.returncode} after {trials(folder)} trials")
                resumed += process.returncode == 0
                continue
            except subprocess.TimeoutExpired:
                pass
            before = trials(folder)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            after, wrong = trials(folder), problems(folder)
            lost += max(0, before - after)
            corrupt += bool(wrong)
            resumed += 1
            print(f"kill {kill:2}: after {delay:4.1f} s, {before} trials before, {after} after{', ' + wrong[0] if wrong else ''}")
            time.sleep(0.2)
        found = folder / "summary.jsonl"
        done = subprocess.run([*command, "--json", str(found)], capture_output=True, text=True)
        total = trials(folder)
        summary = json.loads(found.read_text().splitlines()[-1]) if found.exists() else {}
        print(f"the last run ended with status {done.returncode}: {summary.get('trials')} trials counted, {total} kept")
    print(f"{lost} records lost, {corrupt} corrupt stores, {resumed} of {options.kills} went on")
    good = done.returncode == 0 and not lost and not corrupt and summary.get("trials", -1) == total
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
