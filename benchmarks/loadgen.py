"""Our own protocol beside MLPerf's LoadGen on the same package, in turns: the 90th percentile, and LoadGen's verdicts.

    python benchmarks/loadgen.py                            # AlexNet from the records at hand, 5 turns of 10 s each
    python benchmarks/loadgen.py --package alexnet.tar --turns 3 --seconds 20

Each turn measures the package by `bench`'s protocol, then under SingleStream. At the end Offline runs once. Exits 1
unless every verdict is VALID, no error is in the logs, and the medians of the 90th percentiles are within 5 %.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
WITHIN = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="alexnet")
    parser.add_argument("--package", help="measured instead of the model")
    parser.add_argument("--zero-trial", action="store_true", help="compile without records")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement; LoadGen's default is 10")
    parser.add_argument("--mlperf-logs", default="mlperf-logs", help="where LoadGen's logs are kept")
    options = parser.parse_args()
    from compiler.package import open_package

    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.package) if options.package else Path(folder) / "model.tar"
        if not options.package:
            from cli import main as edgetune

            command = ["compile", options.model, "-o", str(path), *(["--zero-trial"] if options.zero_trial else [])]
            if edgetune(command):
                raise SystemExit("the model cannot be compiled")
        return compared(open_package(str(path)), options)


def compared(package: object, options: argparse.Namespace) -> int:
    """Prints every figure; the exit code."""
    from compiler.bench.mlperf.load import measure_load
    from compiler.bench.mlperf.order import Data, Duration
    from compiler.bench.mlperf.outcome import MlperfRun
    from compiler.bench.probes import probe_inputs
    from compiler.bench.protocol import wait_until_idle
    from compiler.bench.statistics import Latency, latency
    from compiler.package import Package
    from compiler.runtime.session import LocalSession

    assert isinstance(package, Package)
    (inputs,) = probe_inputs(package.manifest.inputs, 1)
    duration = Duration(seconds=options.seconds)

    def under_load(scenario: str) -> MlperfRun:
        wait_until_idle()
        (whole,) = measure_load(
            package, runs=[(scenario, "performance")], duration=duration, data=Data(), logs=Path(options.mlperf_logs)
        )
        (run,) = whole.runs
        told = "" if not run.why else f": {' '.join(run.why)}"
        print(f"  {scenario}: {run.verdict}{told}, {run.samples} samples; logs in {run.folder}", flush=True)
        return run

    own: list[float] = []
    theirs: list[float] = []
    runs: list[MlperfRun] = []

    def by_ours() -> Latency:
        """In a session of its own, as LoadGen's process has one: where the weights lie is another draw each time."""
        with LocalSession(package.manifest.threads) as session:
            executable = session.load(package)
            return latency(
                executable.timed(inputs, runs=100, seconds=options.seconds, warmup_runs=3, warmup_seconds=1.0).seconds
            )

    for turn in range(options.turns):
        figures = by_ours()
        own.append(figures.p90)
        run = under_load("SingleStream")
        runs.append(run)
        assert run.latency_ms is not None
        theirs.append(run.latency_ms.p90)
        print(
            f"turn {turn + 1}: p90 {figures.p90:.3f} ms by ours (p50 {figures.p50:.3f}), "
            f"{run.latency_ms.p90:.3f} ms by LoadGen ({run.queries} queries, p50 {run.latency_ms.p50:.3f}): "
            f"{run.latency_ms.p90 / figures.p90 - 1:+.2%}; within the same queries the model's runs took "
            f"{run.latency_ms.computing:.3f} ms",
            flush=True,
        )
    mean = by_ours().mean
    offline = under_load("Offline")
    runs.append(offline)
    assert offline.samples_per_s is not None
    rate = (package.manifest.batch or 1) * 1e3 / mean
    print(f"Offline: {offline.samples_per_s:.2f} samples/s; {rate:.2f} images/s by ours just before", flush=True)
    difference = statistics.median(theirs) / statistics.median(own) - 1
    print(f"median of p90: {statistics.median(own):.3f} ms by ours, {statistics.median(theirs):.3f} ms by LoadGen")
    print(f"LoadGen's is {difference:+.2%} beside ours (asked: within {WITHIN:.0%})")
    print("short runs: MLPerf's rules ask for 600 s each; results not verified by MLCommons")
    good = abs(difference) <= WITHIN and all(run.verdict == "VALID" and not run.errors for run in runs)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
