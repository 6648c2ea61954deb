"""Does a store keep its word? `python benchmarks/records_kill.py`: 8 writers, one killed -9 every second, 2 minutes.

Every writer adds records one by one and tells each id on a pipe once `add` has returned: that record is acknowledged.
Every second one of them, drawn by chance, is killed with SIGKILL, wherever it is, and a new one takes its place. At the
end every acknowledged record must be in the store with its content, there may be at most one more for each writer that
was killed, and SQLite must find the file sound. Prints the figures; the exit code is 1 where anything is missing.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.records_store import records, workloads
from compiler.records.store import Store

KERNELS = 20


class Writer:
    """A process that writes, and what it has acknowledged."""

    def __init__(self, path: Path, number: int) -> None:
        command = [sys.executable, __file__, "--write", str(path), "--number", str(number)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.acknowledged: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):  # the last one may be torn
                self.acknowledged.append(line.strip().decode())

    def kill(self) -> None:
        """Kill -9, and take in what it had said before."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()


def write(path: Path, number: int) -> None:
    """Adds records until the process is killed."""
    kernels = workloads(KERNELS)
    with Store(path) as store:
        for kernel in kernels:
            store.add_workload(kernel)
        for record in records(10**9, kernels, first=number * 10**6):
            store.add(record)
            os.write(1, record.id.encode() + b"\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two kills")
    parser.add_argument("--write", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write is not None:
        write(Path(arguments.write), arguments.number)
        return
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.db"
        running = [Writer(path, number) for number in range(arguments.writers)]
        everybody = list(running)
        started = time.monotonic()
        try:
            due = started + arguments.every
            while due < started + arguments.seconds:
                time.sleep(max(0.0, due - time.monotonic()) + rng.uniform(0, 0.01))
                due += arguments.every
                writing = [place for place, writer in enumerate(running) if writer.acknowledged]
                place = rng.choice(writing or range(len(running)))  # in the middle of writing, not while it starts
                if running[place].process.poll() is not None:
                    raise SystemExit(f"a writer ended by itself with {running[place].process.returncode}")
                running[place].kill()
                running[place] = Writer(path, len(everybody))
                everybody.append(running[place])
        finally:
            for writer in running:
                writer.kill()
        acknowledged = [record for writer in everybody for record in writer.acknowledged]
        opened = time.monotonic()
        with Store(path) as store:
            opened = time.monotonic() - opened
            # An id is the hash of the content that was read, not what the row says.
            kept = {record.id for record in store.records()}
            damage = store.check()
        lost = set(acknowledged) - kept
        more = len(kept) - len(set(acknowledged))
    silent = sum(not writer.acknowledged for writer in everybody)
    print(f"{len(everybody)} writers, {arguments.writers} at a time, all of them killed -9 ({silent} before a record)")
    print(f"{len(acknowledged)} records acknowledged in {arguments.seconds:.0f} s, {len(lost)} of them lost")
    print(f"{more} records that were on disk, but not acknowledged yet (at most {len(everybody)})")
    print(f"opened after the last kill in {1e3 * opened:.0f} ms; SQLite's check: {damage or 'sound'}")
    if lost or damage or more > len(everybody) or not acknowledged:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
