"""Kills a board with SIGKILL and starts it again, twenty times during one tuning run: is anything lost, does it hang?

    python benchmarks/boards_kill.py [--kills 20] [--every 3] [--down 1] [--model squeezenet] [--json FILE]

The board is an agent on this machine, which is killed every few seconds at a random moment and stays away for `--down`
seconds. The run goes on until the last kill and some trials after it. Printed are the longest time in which nothing was
measured, the longest in which nothing was shown, and how many records were kept of the trials that the run has counted.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

AFTER = 10  # trials after the last kill


class Board:
    """An agent that is killed now and then, on a thread of its own."""

    def __init__(self, kills: int, every: float, down: float) -> None:
        self.kills = 0
        self.wanted = kills
        self.ended = threading.Event()
        self._every = every
        self._down = down
        self.port = 0
        self._start()

    def _start(self) -> None:
        command = [sys.executable, str(ROOT / "cli.py"), "serve", "--port", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        self.port = int(line.rpartition(":")[2])

    def run(self) -> None:
        moments = random.Random(20)
        while self.kills < self.wanted and not self.ended.wait(self._every * moments.uniform(0.5, 1.5)):
            self._process.kill()
            self._process.wait()
            self.kills += 1
            self.ended.wait(self._down)
            self._start()

    def stop(self) -> None:
        self.ended.set()
        self._process.terminate()
        self._process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--every", type=float, default=3.0)
    parser.add_argument("--down", type=float, default=1.0)
    parser.add_argument("--model", default="squeezenet")
    parser.add_argument("--json")
    options = parser.parse_args()
    import targets
    from compiler.commands.device import identity_at
    from compiler.frontend import load
    from compiler.records.record import CHECK_RUN
    from compiler.records.store import open_store
    from compiler.runtime.rpc.address import Address, Way
    from compiler.tuning.boards.fleet import Fleet
    from compiler.tuning.tune import Budget, tune

    model = load(options.model)
    target = targets.get("native", 1)
    board = Board(options.kills, options.every, options.down)
    killer = threading.Thread(target=board.run, daemon=True)
    shown: list[float] = []
    measured = [0.0]
    seen = {"trials": 0, "last": 0}
    quiet = {"shown": 0.0, "measured": 0.0}

    def progress(state: Any) -> None:
        now = time.monotonic()
        quiet["shown"] = max([quiet["shown"], *(now - before for before in shown)])
        shown[:] = [now]
        if state.trials == 0:
            measured[0] = now
            return
        if not killer.is_alive() and board.kills == 0:
            killer.start()
        if state.trials != seen["trials"]:
            quiet["measured"] = max(quiet["measured"], now - measured[0])
            measured[0], seen["trials"] = now, state.trials
        if board.kills < options.kills or killer.is_alive():
            seen["last"] = state.trials
        elif state.trials >= seen["last"] + AFTER:
            raise KeyboardInterrupt

    way = Way(Address("127.0.0.1", board.port))
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            open_store(Path(folder)) as store,
            Fleet(way, target, identity_at(way)) as fleet,
        ):
            summary = tune(model, target, store=store, budget=Budget(), progress=progress, runner=fleet)
            records = [r for r in store.records() if r.run != CHECK_RUN]
            row = {
                "kills": board.kills,
                "trials": summary.trials,
                "records": len(records),
                "records_lost": summary.trials - len(records),
                "measured_twice": len(records) - len({(r.workload, r.trace_id) for r in records}),
                "failed": summary.failed,
                "trials_the_board_went_away_over": sum(b.lost for b in summary.boards),
                "longest_without_a_trial_s": round(quiet["measured"], 1),
                "longest_without_progress_s": round(quiet["shown"], 1),
                "seconds": round(summary.seconds, 1),
                "errors": sorted({r.error for r in records if r.error is not None}),
                "store": store.check(),
            }
    finally:
        board.stop()
    for name, value in row.items():
        print(f"{name:32} {value}")
    if options.json:
        with Path(options.json).open("a", encoding="utf-8") as out:
            out.write(json.dumps({"model": options.model, **row}) + "\n")


if __name__ == "__main__":
    main()
