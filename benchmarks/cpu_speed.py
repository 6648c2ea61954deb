"""Our latency over that of the better peer, model by model, in turns in one run; and the geometric mean.

    python benchmarks/cpu_speed.py                      # zero trials: no records are used
    python benchmarks/cpu_speed.py --logs DIR           # tuned: kernels that DIR has records of
    python benchmarks/cpu_speed.py --batch 48 --models alexnet,googlenet --json FILE
    python benchmarks/cpu_speed.py --threads 1

The ratio is the median over the rounds, with the lowest and the highest of them; below 1 we are faster. At a large
batch it is also the peer's images/s over ours. Packages are compiled and verified first.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
PEERS = ("onnxruntime", "openvino")


def main() -> int:
    from compiler.frontend import builtin_names

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(builtin_names()))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--threads", type=int, help="ours and the peers' alike; default: all cores")
    parser.add_argument(
        "--logs", help="record store; default: an empty one, so every kernel has its zero-trial schedule"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="at least so long for each engine")
    parser.add_argument("--runs", type=int, default=30, help="at least so many runs for each engine")
    parser.add_argument("--json", help="append a line per model to this file")
    options = parser.parse_args()
    rows = []
    print(f"{'model':14} {'ours ms':>8} {'peers ms':>17}   {'over the better peer':24} compiled in")
    for model in options.models.split(","):
        row = measured(model, options)
        rows.append(row)
        if options.json:
            with Path(options.json).open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
        if "error" in row:
            print(f"{model:14} FAILED: {row['error']}", flush=True)
            continue
        peers = " ".join(f"{ms:8.2f}" for ms in row["peers_ms"].values())
        spread = f"({row['low']:.3f} to {row['high']:.3f})"
        print(
            f"{model:14} {row['ours_ms']:8.2f} {peers:>17}   {row['ratio']:.3f} {spread} {row['better']:12}"
            f" {row['compile_seconds']:5.1f} s, {row['tuned']} of {row['tasks']} tasks tuned",
            flush=True,
        )
    good = [row["ratio"] for row in rows if "ratio" in row]
    if good:
        mean = math.exp(sum(map(math.log, good)) / len(good))
        print(f"geometric mean of {len(good)} models: {mean:.3f}; the worst: {max(good):.3f}")
        print(f"images/s over the better peer's: geometric mean {1 / mean:.2f}, the worst {1 / max(good):.2f}")
    return 0 if len(good) == len(rows) else 1


def measured(model: str, options: argparse.Namespace) -> dict:
    """One model's row."""
    from compiler.bench.probes import probe_inputs
    from compiler.bench.protocol import Protocol
    from compiler.bench.run import bench
    from compiler.bench.source import model_of
    from compiler.errors import EdgetuneError
    from compiler.package import open_package
    from compiler.runtime.session import LocalSession

    row: dict = {"model": model, "batch": options.batch, "precision": options.precision, "threads": options.threads}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "package.tar"
        command = [sys.executable, str(ROOT / "cli.py"), "compile", model, "--batch", str(options.batch)]
        command += ["--precision", options.precision, "-o", str(path)]
        command += ["--threads", str(options.threads)] if options.threads else []
        command += ["--logs", options.logs] if options.logs else ["--zero-trial"]
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True)
        row["compile_seconds"] = round(time.monotonic() - started, 1)
        if done.returncode != 0:
            return {**row, "error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
        package = open_package(path)
        manifest = package.manifest
        source = model_of(manifest)
        protocol = Protocol(runs=options.runs, seconds=options.seconds)
        try:
            with LocalSession(manifest.threads) as session:
                report = bench(
                    session.load(package),
                    probe_inputs(source.inputs, 2, 0),
                    threads=manifest.threads,
                    model=source,
                    peers=PEERS,
                    protocol=protocol,
                )
        except EdgetuneError as error:
            return {**row, "error": str(error)}
    better = max(report.ratios, key=lambda ratio: ratio.ratio)
    return {
        **row,
        "tasks": manifest.tasks,
        "tuned": manifest.tasks - len(manifest.untuned),
        "ours_ms": report.results[0].latency_ms.p50,
        "ours_min_ms": report.results[0].latency_ms.min,
        "peers_ms": {r.engine: r.latency_ms.p50 for r in report.results[1:]},
        "peers_min_ms": {r.engine: r.latency_ms.min for r in report.results[1:]},
        "better": better.reference,
        "ratio": better.ratio,
        "low": better.low,
        "high": better.high,
        "missing": dict(report.missing),
    }


if __name__ == "__main__":
    sys.exit(main())
