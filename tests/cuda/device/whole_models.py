"""python -m tests.cuda.device.whole_models FOLDER [--models M,...] [--archs 53,75,90] [--precision fp16,fp32]
[--batch 1] [--json FILE]: whole models on emulated GPUs, each kernel as it is without tuning, against ONNX Runtime.

For each cell a package is compiled as for a machine with such a GPU and verified on it, launched as a CUDA graph. What
is done stands in FILE and is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

from tests.cuda.device import machine


def verified(folder: Path, model: str, arch: str, precision: str, batch: str) -> dict[str, Any]:
    """What `edgetune verify` says of the model's package on the GPU."""
    environment = {**os.environ, **machine.environment(folder), "EMULATED_GPU_ARCH": arch}
    package = folder / f"{model}-{arch}-{precision}-{batch}.tar"
    edgetune = [sys.executable, str(machine.ROOT / "cli.py")]
    chosen = ["--target", "cuda", "--precision", precision, "--batch", batch, "--zero-trial", "--allow-unverified"]
    said = folder / "verified.jsonl"
    said.unlink(missing_ok=True)
    started = time.monotonic()
    for command in (["compile", model, *chosen, "-o", str(package)], ["verify", str(package), "--json", str(said)]):
        done = subprocess.run([*edgetune, *command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0 and not said.exists():
            return {"error": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]}
    package.unlink()
    return {**json.loads(said.read_text().splitlines()[-1]), "seconds": round(time.monotonic() - started)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", default="squeezenet,shufflenet,alexnet,googlenet,resnet50")
    parser.add_argument("--archs", default="53,75,90")
    parser.add_argument("--precision", default="fp16,fp32")
    parser.add_argument("--batch", default="1")
    parser.add_argument("--json", type=Path, default=Path(os.devnull))
    options = parser.parse_args()
    folder = options.folder.resolve()
    if not folder.exists():
        machine.build(folder)
    known = options.json.read_text().splitlines() if options.json.is_file() else []
    done = {tuple(line["cell"]) for line in map(json.loads, known)}
    cells = product(
        *(str(value).split(",") for value in (options.models, options.archs, options.precision, options.batch))
    )
    failed = 0
    for cell in cells:
        if cell in done:
            continue
        found = verified(folder, *cell)
        failed += not found.get("ok", False)
        with options.json.open("a") as out:
            out.write(json.dumps({"cell": cell, **found}) + "\n")
        print(*cell, found, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
