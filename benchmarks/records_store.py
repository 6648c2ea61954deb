"""How fast the record store is when it is full: `python benchmarks/records_store.py --records 100000`.

Fills a store in a temporary folder with records of realistic size (a tuned convolution's trace is about 4 KB), then
times what tuning and compiling do with it, each look-up on kernels chosen at random, in a process that has just opened
the file. Prints a table; nothing is kept.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from compiler.records.canonical import canonical_json
from compiler.records.exchange.export import export_file
from compiler.records.exchange.import_ import import_logs
from compiler.records.record import Record, Workload
from compiler.records.store import Store
from compiler.records.trust.verdicts import quarantined

FINGERPRINTS = ["x86-avx2-a-2c-tvm0.27.0-00000001", "jetson-orin-b-6c-tvm0.27.0-00000002"]
START = datetime(2025, 1, 1, tzinfo=timezone.utc)
TARGET = {"kind": "llvm", "mcpu": "haswell", "mtriple": "x86_64-linux-gnu", "num-cores": 2}


def workloads(count: int) -> list[Workload]:
    """Kernels with an IR of about 12 KB, as a convolution's is."""
    nodes = [{"type": "ir.IntImm", "data": {"span": 0, "ty": 4, "value": i}} for i in range(200)]
    return [
        Workload(f"{i + 1:016x}", f"conv2d_{i}", json.dumps({"root_index": i, "nodes": nodes})) for i in range(count)
    ]


def trace(rng: random.Random) -> str:
    """A trace of 40 instructions, as MetaSchedule writes for a convolution on a CPU, with random tiles."""
    instructions: list[list[object]] = [["GetSBlock", [], ["conv2d_nhwc", "main"], ["b0"]]]
    loops = [f"l{i}" for i in range(1, 8)]
    instructions.append(["GetLoops", ["b0"], [], loops])
    decisions: list[list[object]] = []
    name = 8
    for loop in loops:
        factors, parts = [f"v{name + i}" for i in range(4)], [f"l{name + 4 + i}" for i in range(4)]
        name += 8
        decisions.append([len(instructions), [rng.choice([1, 2, 4, 7, 8]) for _ in range(4)]])
        instructions.append(["SamplePerfectTile", [loop], [4, 64], factors])
        instructions.append(["Split", [loop, *factors], [1, 0], parts])
        instructions.append(["Reorder", parts, [], []])
        instructions.append(["Annotate", [parts[0], rng.choice([0, 16, 64, 512])], ["pragma_auto_unroll_max_step"], []])
        instructions.append(["Unroll", [parts[-1]], [], []])
    instructions.append(["EnterPostproc", [], [], []])
    return canonical_json([instructions, decisions])


def records(count: int, kernels: list[Workload], first: int = 0) -> Iterator[Record]:
    """`count` records, numbered from `first`, over all kernels and both fingerprints; one in ten has failed."""
    rng = random.Random(first)
    for number in range(first, first + count):
        ok = number % 10 != 0
        median = rng.uniform(1e-4, 1e-2)
        yield Record(
            workload=kernels[number % len(kernels)].hash,
            trace=trace(rng),
            seconds=tuple(median * rng.uniform(0.98, 1.05) for _ in range(3)) if ok else (),
            error=None if ok else "the compiler ran out of time",
            fingerprint=FINGERPRINTS[number // len(kernels) % 2],
            target=TARGET,
            device="Some CPU @ 2.00GHz",
            threads=2,
            tvm_version="0.27.0.post1",
            tool_version="0.1.0",
            seed=number,
            created=(START + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            run=f"run-{number % 50}",
        )


def fill(path: Path, count: int, kernels: list[Workload]) -> None:
    """Makes a store with `count` records."""
    with Store(path) as store:
        for kernel in kernels:
            store.add_workload(kernel)
        fresh = records(count, kernels)
        while batch := list(islice(fresh, 5_000)):
            store.add_many(batch, checked=True)  # the format is not what is measured here


def processor_seconds() -> float:
    """What this process and those that it has waited for have used of processors so far."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def timed(action: Callable[[], object], repeats: int = 1) -> tuple[float, float]:
    """Median and slowest of `repeats` runs, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times), max(times)


def command_line(*words: str) -> None:
    """`edgetune logs WORDS` as a user runs it, Python's start included."""
    cli = Path(__file__).resolve().parents[1] / "cli.py"
    subprocess.run([sys.executable, str(cli), "logs", *words], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000, help="how many records the store holds")
    parser.add_argument("--kernels", type=int, default=300, help="over how many workloads")
    parser.add_argument("--exchange", action="store_true", help="also time export and import of all records")
    parser.add_argument("--folder", help="where the temporary folder is made (default: the system's)")
    parser.add_argument("--fill", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    kernels = workloads(arguments.kernels)
    if arguments.fill is not None:
        fill(Path(arguments.fill), arguments.records, kernels)
        return
    rows: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "records.db"
        start = time.perf_counter()
        # In a process of its own: what filling takes of memory is none of a reader's.
        command = [sys.executable, __file__, "--fill", str(path)]
        subprocess.run([*command, "--records", str(arguments.records), "--kernels", str(arguments.kernels)], check=True)
        filled = time.perf_counter() - start
        size = path.stat().st_size

        start = time.perf_counter()
        store = Store(path)
        opened = time.perf_counter() - start
        rows.append(("open", opened, opened))
        rng = random.Random(1)

        def key() -> tuple[str, str]:
            return rng.choice(kernels).hash, rng.choice(FINGERPRINTS)

        known_id = next(records(1, kernels)).id
        here = {"device": "Some CPU @ 2.00GHz", "target": TARGET, "threads": 2, "tvm_version": "0.28.0"}
        rows.append(("look up the best", *timed(lambda: store.best(*key()), 300)))
        rows.append(("top 10", *timed(lambda: store.top(*key(), 10), 300)))
        rows.append(("best of another TVM", *timed(lambda: store.best_other_version(key()[0], **here), 300)))
        rows.append(("trials", *timed(lambda: store.trials(*key()), 300)))
        rows.append(("trials of a run", *timed(lambda: store.run_trials(f"run-{rng.randrange(50)}"), 20)))
        rows.append(("tried", *timed(lambda: store.tried(*key()), 100)))
        rows.append(("record by its id", *timed(lambda: store.record(known_id[:12]), 100)))
        rows.append(("fingerprints", *timed(store.fingerprints, 20)))
        rows.append(("devices of a target", *timed(lambda: store.devices(TARGET, 2, "0.27.0.post1"), 20)))
        rows.append(("quarantined", *timed(lambda: quarantined(store), 3)))
        rows.append(("summary of all", *timed(store.summary)))
        fresh = records(1_300, kernels, first=arguments.records)
        one_by_one = iter([next(fresh) for _ in range(300)])
        rows.append(("add one", *timed(lambda: store.add(next(one_by_one)), 300)))
        thousand = list(fresh)
        rows.append(("add 1000 at once", *timed(lambda: store.add_many(thousand))))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        busy = [("", processor_seconds())]
        if arguments.exchange:
            log = Path(folder) / "all.jsonl"
            rows.append(("export all", *timed(lambda: export_file(store, log))))
            busy.append(("export", processor_seconds()))
            with Store(Path(folder) / "other.db") as other:
                rows.append(("import all", *timed(lambda: import_logs(other, log))))
                busy.append(("import", processor_seconds()))
                rows.append(("import all again", *timed(lambda: import_logs(other, log))))
        store.close()
        for name, words in {
            "logs list": ["list"],
            "logs show WORKLOAD": ["show", kernels[0].name],
            "logs show RECORD": ["show", known_id],
        }.items():
            rows.append((f"command: {name}", *timed(lambda words=words: command_line(*words, "--logs", folder), 3)))
    print(f"{arguments.records} records of {arguments.kernels} kernels: {size / 2**20:.0f} MB")
    print(f"filled in {filled:.1f} s, peak memory of the process that reads and adds {memory:.0f} MB\n")
    print(f"{'':<24}{'median ms':>12}{'slowest ms':>12}")
    for name, median, slowest in rows:
        exchanged = name.startswith(("export", "import"))
        rate = f"   {arguments.records / median:,.0f} records a second" if exchanged else ""
        print(f"{name:<24}{median * 1e3:>12.2f}{slowest * 1e3:>12.2f}{rate}")
    for (_, before), (name, after) in itertools.pairwise(busy):
        # On a machine that others use as well, this says more than the clock.
        micro = 1e6 * (after - before) / arguments.records
        print(
            f"{name}: {micro:.0f} us of processor time a record, "
            f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
        )


if __name__ == "__main__":
    main()
