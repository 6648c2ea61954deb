"""Builds a minute on a dask cluster of 0, 1 and 2 hosts, and what eight boards make of them.

    python benchmarks/build_cluster.py [--hosts 0,1,2] [--boards 8] [--seconds 20] [--json FILE]

The hosts are real dask workers on this machine, of four threads each, reached through a real scheduler. What they build
takes half a second of waiting, as a candidate takes half a second of a core, so that two hosts fit into two cores; so
does the one core of the desk that builds too. All the rest is real: jobs and libraries travel, with their checksums.
The boards are those of boards_scaling.py. `linear` is the rate over that of so many cores that wait for nothing else.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

BUILD_SECONDS = 0.5
THREADS = 4
ROUNDS = 12  # builds of each core, in the measurement without boards

PRELOAD = """
import hashlib, random, time
from pathlib import Path
from compiler.tuning.cluster import remote
content = Path({library!r}).read_bytes()
def build(job, timeout):
    time.sleep({seconds} * random.uniform(0.8, 1.2))
    digest = hashlib.sha256(content).hexdigest()
    return {{"library": content, "sha256": digest, "arguments": [((4,), "float32"), ((4,), "float32")]}}
remote.build = build
"""


def waiting_pool(library: Path) -> type:
    """What stands in for a core of the desk."""
    from compiler.tuning.workers import Outcome

    class Waiting:
        def __init__(self, *_arguments: Any) -> None: ...

        def start(self) -> None: ...

        def close(self) -> None: ...

        def abandon(self) -> None: ...

        def map(self, kind: str, jobs: Sequence[dict[str, Any]], timeout: float) -> list[Outcome]:
            time.sleep(BUILD_SECONDS * random.uniform(0.8, 1.2))
            shutil.copyfile(library, jobs[0]["library"])
            return [Outcome(value=(jobs[0]["library"], [((4,), "float32"), ((4,), "float32")]))]

    return Waiting


def builds_a_minute(builder: Any, folder: Path, module: str) -> float:
    """Of candidates of a usual size, without boards."""
    config = {"kind": "llvm"}
    jobs = [
        {"module": module, "target": config, "library": str(folder / f"{i}.so")}
        for i in range(ROUNDS * builder.parallel)
    ]
    started = time.monotonic()
    outcomes = builder.map("build", jobs, 20.0)
    took = time.monotonic() - started
    assert all(outcome.error is None for outcome in outcomes), [o.error for o in outcomes if o.error]
    return 60 * len(jobs) / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", default="0,1,2")
    parser.add_argument("--boards", type=int, default=8)
    parser.add_argument("--model", default="googlenet")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json")
    options = parser.parse_args()
    import targets
    from benchmarks import boards_scaling
    from compiler.frontend import load
    from compiler.tuning.cluster import lane
    from compiler.tuning.cluster.builder import ClusterBuilder
    from tests.tuning.cluster.processes import cluster

    model = load(options.model)
    rows = []
    print(f"{'hosts':>5} {'cores':>5} {'builds/min':>10} {'linear':>7} {f'trials/min, {options.boards} boards':>20}")
    for hosts in map(int, options.hosts.split(",")):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            library = boards_scaling.library(folder)
            lane.Pool = waiting_pool(library)  # type: ignore[misc]
            with cluster(folder) as made:
                # A scheduler without workers is refused: where the desk is to be alone, its worker takes nothing.
                for _ in range(max(1, hosts)):
                    made.worker(THREADS, PRELOAD.format(library=str(library), seconds=BUILD_SECONDS))
                with ClusterBuilder(made.address, targets.get("native", 1), 1) as builder:
                    if not hosts:
                        builder._alike.clear()
                        builder._workers.clear()
                        builder._refused[next(iter(builder._client.nthreads()))] = "is not asked"  # type: ignore[union-attr]
                    cores = builder.parallel
                    made_a_minute = builds_a_minute(builder, folder, "x" * 100_000)
                    with boards_scaling.programs(options.boards) as port:
                        row = boards_scaling.rate(model, builder, port, options.boards, options.seconds)
        linear = made_a_minute / (cores * 60 / BUILD_SECONDS)
        rows.append(
            {"hosts": hosts, "cores": cores, "builds_per_minute": round(made_a_minute, 1), "linear": linear, **row}
        )
        print(
            f"{hosts:>5} {cores:>5} {made_a_minute:>10.1f} {linear:>7.2f} {row['trials_per_minute']:>20.1f}", flush=True
        )
    if options.json:
        with Path(options.json).open("a", encoding="utf-8") as out:
            out.writelines(json.dumps({"model": options.model, **row}) + "\n" for row in rows)


if __name__ == "__main__":
    main()
