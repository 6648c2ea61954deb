"""Compile built-in models for Jetsons, and load the packages on an emulated aarch64 board, which has no GPU.

python benchmarks/gpu/host_side.py [--models squeezenet,...] [--targets jetson-orin,...] [--precision fp32,fp16]
                                   [--batch 1,128] [--json FILE] [--jobs N]

A line for each package: that the host's side loads, with all that it wants of other libraries, and that the GPU's part
is refused in one line, by TVM and by a session. All packages are loaded in one process of the board. They are what
`edgetune compile --zero-trial` makes, --jobs of them side by side, and are removed when they have been looked at. With
--json, a line for each is put at the end of the file. Exits with 1 where anything is not as it should be.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from compiler.frontend import builtin_names  # noqa: E402
from tests.cuda.host_side import Board, looking  # noqa: E402
from tests.runtime.emulation.debian import UnavailableError  # noqa: E402

TARGETS = ("jetson-tx1", "jetson-tx2", "jetson-xavier", "jetson-orin", "jetson-thor")
COMPILE_SECONDS = 3600.0


def main() -> int:
    """Run it; 1 where a package is not as it should be, or there is no board."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(builtin_names()))
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--precision", default="fp32,fp16")
    parser.add_argument("--batch", default="1,128")
    parser.add_argument("--json", type=Path, help="append a line for each package")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="compilers side by side")
    options = parser.parse_args()
    wanted = (options.models, options.batch, options.precision, options.targets)
    cells = list(itertools.product(*(text.split(",") for text in wanted)))
    began = time.monotonic()
    bad = 0
    try:
        with (
            looking() as board,
            tempfile.TemporaryDirectory(prefix="edgetune-host-side-") as folder,
            ThreadPoolExecutor(options.jobs) as pool,
        ):
            for row in pool.map(lambda cell: looked_at(board, Path(folder), *cell), cells):
                problems = row["problems"]
                bad += bool(problems)
                verdict = f"FAILED: {'; '.join(problems)}" if problems else "loads, refused in a line"
                print(f"{name_of(row)} {row['compile_seconds']:6.1f} s  {verdict}", flush=True)
                if options.json is not None:
                    with options.json.open("a", encoding="utf-8") as out:
                        out.write(json.dumps(row) + "\n")
    except UnavailableError as error:
        print(f"no emulated board: {error}")
        return 1
    print(f"{len(cells)} packages, {bad} not as they should be, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


def looked_at(board: Board, folder: Path, model: str, batch: str, precision: str, target: str) -> dict[str, Any]:
    """Compile a package, show it to the board and remove it. What was wrong is in `problems`."""
    row: dict[str, Any] = {"model": model, "batch": int(batch), "precision": precision, "target": target}
    package = folder / f"{model}-{batch}-{precision}-{target}.tar"
    chosen = ["--target", target, "--precision", precision, "--batch", batch, "--zero-trial", "-o", str(package)]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "compile", model, *chosen],
        capture_output=True,
        text=True,
        timeout=COMPILE_SECONDS,
    )
    row["compile_seconds"] = round(time.monotonic() - began, 1)
    if done.returncode != 0:
        return {**row, "session": None, "problems": [(done.stderr.strip().splitlines() or ["it did not compile"])[-1]]}
    row["package_bytes"] = package.stat().st_size
    began = time.monotonic()
    try:
        look = board.look(package)
    except RuntimeError as error:
        return {**row, "session": None, "problems": [str(error)]}
    finally:
        package.unlink()
    return {
        **row,
        "look_seconds": round(time.monotonic() - began, 1),
        "session": look.session,
        "library": look.library,
        "problems": look.problems(target),
    }


def name_of(row: dict[str, Any]) -> str:
    return f"{row['model']:13} {row['target']:13} {row['precision']} batch {row['batch']:<4}"


if __name__ == "__main__":
    sys.exit(main())
