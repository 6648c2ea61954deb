"""How near each kernel of a model comes to what this machine can do, and which fall short of what is asked.

    python benchmarks/kernel_peaks.py [--models resnet50,...] [--batch 1] [--precision fp32] [--logs DIR] [--json FILE]

Asked: 85 % of the peak in FLOP/s of a convolution or dense layer of over 10 million operations (a dense layer at batch
1 is bound by memory and counts among the others), and 70 % of the memory bandwidth of any other kernel. The peak of
both is measured in the same process (`edgetune bench --profile` says how). Winograd's operations are those that it
does, not those that it saves. Bytes are those of all arguments once, so that a kernel whose tensors stay in the caches
can pass 100 %. A kernel of under 1 % of the model's time is left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
LARGE = 10e6  # operations a call
OF_FLOPS, OF_BANDWIDTH = 0.85, 0.70
SMALL_SHARE = 0.01


def main() -> int:
    from compiler.frontend import builtin_names

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(builtin_names()))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--logs", help="record store; default: none, so every kernel has its zero-trial schedule")
    parser.add_argument("--json", help="append a line per kernel to this file")
    options = parser.parse_args()
    for model in options.models.split(","):
        rows, report = profiled(model, options)
        whole = sum(row["ms"] for row in rows)
        reached = sum(row["ms"] for row in rows if row["good"])
        print(f"\n{model}: {whole:.2f} ms in kernels, {reached / whole:.0%} of it in kernels that reach what is asked;")
        peak = f"{report.peak.gflops:.0f} GFLOP/s, {report.peak.gb_s:.1f} GB/s"
        print(f"  {report.machine_ms:.2f} ms between them; peak {peak}")
        for row in rows:
            if not row["good"] and row["ms"] > SMALL_SHARE * whole:
                print(
                    f"  {row['kernel']:52} {row['calls']:3} x {row['ms'] / row['calls']:7.3f} ms, "
                    f"{row['ms'] / whole:5.1%} of the time, {row['of_flops'] or 0:4.0%} of FLOP/s, "
                    f"{row['of_bandwidth'] or 0:4.0%} of bandwidth"
                )
            if options.json:
                with Path(options.json).open("a", encoding="utf-8") as out:
                    out.write(json.dumps({"model": model, "batch": options.batch, **row}) + "\n")
    return 0


def profiled(model: str, options: argparse.Namespace) -> tuple[list[dict], object]:
    from compiler.bench.peak import measure_peak
    from compiler.bench.probes import probe_inputs
    from compiler.bench.profile import profile
    from compiler.package import open_package
    from compiler.runtime.session import LocalSession

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "package.tar"
        command = [sys.executable, str(ROOT / "cli.py"), "compile", model, "--batch", str(options.batch)]
        command += ["--precision", options.precision, "-o", str(path)]
        command += ["--logs", options.logs] if options.logs else ["--zero-trial"]
        subprocess.run(command, check=True, capture_output=True)
        package = open_package(path)
        threads = package.manifest.threads
        peak = measure_peak(threads)
        with LocalSession(threads) as session:
            executable = session.load(package)
            report = profile(executable, probe_inputs(package.manifest.inputs, 1, 0)[0], runs=20, peak=peak).report
    return [_row(kernel, package.manifest.kernels) for kernel in report.rows], report


def _row(kernel: object, work: dict) -> dict:
    known = work.get(kernel.name)
    flops = known.flops if known is not None else None
    compute = flops is not None and flops >= LARGE and ("conv" in kernel.name or "dense" in kernel.name)
    compute = compute and not (kernel.of_peak_bandwidth or 0) > (kernel.of_peak_flops or 0)
    share = kernel.of_peak_flops if compute else kernel.of_peak_bandwidth
    return {
        "kernel": kernel.name,
        "calls": kernel.calls,
        "ms": kernel.milliseconds,
        "of_flops": kernel.of_peak_flops,
        "of_bandwidth": kernel.of_peak_bandwidth,
        "good": share is not None and share >= (OF_FLOPS if compute else OF_BANDWIDTH),
    }


if __name__ == "__main__":
    sys.exit(main())
