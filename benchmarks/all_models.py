"""Compile and verify every built-in model at several batch sizes and precisions; a row each, and how many passed.

python benchmarks/all_models.py [--batch 1,8] [--precision fp32,fp16] [--models alexnet,...] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from compiler.frontend import builtin_names
    from compiler.package import open_package

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--precision", default="fp32,fp16")
    parser.add_argument("--models", default=",".join(builtin_names()))
    parser.add_argument("--logs", help="record store; default: none, so every kernel has its zero-trial schedule")
    parser.add_argument("--json", help="append a line per package to this file")
    options = parser.parse_args()
    passed = total = 0
    print(
        f"{'model':14} {'batch':>5} {'precision':9} {'verdict':8} {'rel L2':>9} {'top-1':>6} {'seconds':>8} {'MB':>6}"
    )
    for model in options.models.split(","):
        for batch in options.batch.split(","):
            for precision in options.precision.split(","):
                with tempfile.TemporaryDirectory() as folder:
                    package = Path(folder) / "package.tar"
                    started = time.monotonic()
                    command = [sys.executable, str(ROOT / "cli.py"), "compile", model, "--batch", batch]
                    command += ["--precision", precision, "-o", str(package)]
                    command += ["--logs", options.logs] if options.logs else ["--zero-trial"]
                    done = subprocess.run(command, capture_output=True, text=True)
                    seconds = time.monotonic() - started
                    total += 1
                    row = {"model": model, "batch": int(batch), "precision": precision, "seconds": round(seconds, 1)}
                    if done.returncode != 0:
                        row["error"] = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no message"
                        print(f"{model:14} {batch:>5} {precision:9} FAILED   {row['error']}", flush=True)
                    else:
                        manifest = open_package(package).manifest
                        accuracy = manifest.accuracy
                        good = manifest.verified and accuracy is not None and accuracy.ok
                        passed += good
                        row |= {
                            "verified": good,
                            "rel_l2_err": accuracy.rel_l2_err if accuracy else None,
                            "top1_agreement": accuracy.top1_agreement if accuracy else None,
                            "megabytes": round(package.stat().st_size / 1e6, 1),
                        }
                        print(
                            f"{model:14} {batch:>5} {precision:9} {'verified' if good else 'WRONG':8} "
                            f"{row['rel_l2_err'] or 0:9.2e} {row['top1_agreement'] or 0:6.3f} {seconds:8.1f} "
                            f"{row['megabytes']:6.0f}",
                            flush=True,
                        )
                    if options.json:
                        with Path(options.json).open("a", encoding="utf-8") as out:
                            out.write(json.dumps(row) + "\n")
    print(f"{passed} of {total} compiled and verified")
    return 0 if passed == total else 1


if __name__ == "__main__":
    sys.exit(main())
