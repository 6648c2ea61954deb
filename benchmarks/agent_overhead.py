"""What an agent adds to the time of a kernel: `edgetune.measure` on a board's agent against the same call in-process.

    python benchmarks/agent_overhead.py [--kind python,native] [--rounds 30] [--json FILE]

The kernel takes about a millisecond on one thread. Both measurements take turns, in an order that changes; the figure
is the ratio of their medians. The agent runs on this machine, so the processor is the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import targets  # noqa: E402
from compiler.runtime.measure.candidate import measure  # noqa: E402
from compiler.runtime.threads import compute_cpus  # noqa: E402
from tests.runtime.agent.agents import KINDS, Kind, running  # noqa: E402

SIZE = 112
"""Of the matrices whose product the kernel computes, in plain loops: they lie in the nearest caches."""


def kernel(folder: Path) -> dict[str, Any]:
    """Builds the kernel; returns the job that measures it, but for its library's name."""
    import tvm
    from tvm import te

    from compiler.tuning.worker.build import build

    a, b = (te.placeholder((SIZE, SIZE), "float32", name=name) for name in "ab")
    k = te.reduce_axis((0, SIZE), "k")
    c = te.compute((SIZE, SIZE), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")
    function = te.create_prim_func([a, b, c]).with_attr("global_symbol", "main")
    library, arguments = build(
        tvm.ir.save_json(tvm.IRModule({"main": function})), targets.get("native").config(), str(folder / "kernel.so")
    )
    return {
        "library": library,
        "arguments": arguments,
        "weights": [1],
        "repeats": 3,
        "repeat_seconds": 0.05,
        "give_up": None,
    }


def compare(kind: Kind, rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name, running(kind) as agent, agent.connect() as connection:
        job = kernel(Path(name))
        connection.remote.upload(job["library"])
        remote_job = json.dumps({**job, "library": Path(job["library"]).name, "threads": 1})
        here: list[float] = []
        there: list[float] = []
        calls: list[float] = []

        def measure_here() -> None:
            here.extend(measure(**job, cpus=compute_cpus(1)))

        def measure_there() -> None:
            began = time.perf_counter()
            there.extend(json.loads(connection.call("edgetune.measure", remote_job))["seconds"])
            calls.append(time.perf_counter() - began)

        for number in range(rounds + 1):
            for turn in (measure_here, measure_there) if number % 2 else (measure_there, measure_here):
                turn()
            if number == 0:  # both have made their arguments now
                for times in (here, there, calls):
                    times.clear()
        ratio = statistics.median(there) / statistics.median(here)
        return {
            "kind": kind.name,
            "rounds": rounds,
            "here_ms": round(statistics.median(here) * 1e3, 4),
            "there_ms": round(statistics.median(there) * 1e3, 4),
            "here_best_ms": round(min(here) * 1e3, 4),
            "there_best_ms": round(min(there) * 1e3, 4),
            "overhead": round(ratio - 1, 4),
            "call_s": round(statistics.median(calls), 3),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="python,native", help="kinds of agents, separated by commas")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path, help="append a line for each kind")
    options = parser.parse_args()
    kinds = {kind.name: kind for kind in KINDS}
    for name in options.kind.split(","):
        result = compare(kinds[name], options.rounds)
        for key, value in result.items():
            print(f"{key:<14} {value}")
        print()
        if options.json is not None:
            with options.json.open("a") as file:
                file.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
