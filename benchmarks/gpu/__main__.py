"""Ours beside PyTorch, TensorRT and ONNX Runtime on this machine's NVIDIA GPU, tuned within a time budget: one command.

python -m benchmarks.gpu [--models alexnet,googlenet,resnet50] [--batch 1,128] [--precision fp16,fp32,tf32] [--tune 5m]
                         [--vs torch,torch-compile,tensorrt,onnxruntime-cuda] [--folder DIR]

For each model, batch and precision: tune, compile from the records and without any, verify both, and measure them
beside the peers in the same turns (`edgetune bench --vs`): images/s, percentiles, W from NVML, images/s/W, and per
kernel the share of the measured peak. What is done is not done again: stop it and start it as you like. DIR gets the
result lines (results.jsonl), the packages, and the records, as `edgetune logs export` writes them (records.jsonl).

In `fp32` all run with TF32 off; in `tf32` all may round the factors of products to TF32. Peers that are not installed
are left out, and said.

python -m benchmarks.gpu --dry-run [--target cuda-sm90] [--candidates N] ...

Needs no GPU: compiles each package that would be measured, and builds for every kernel the first candidate of each of
its design spaces and N more that the search would propose, up to where the GPU is needed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PEERS = "torch,torch-compile,tensorrt,onnxruntime-cuda"
BUILD_SECONDS = 120.0


class Cell(NamedTuple):
    model: str
    batch: int
    precision: str

    @property
    def name(self) -> str:
        """With a file's name in the place of its path."""
        return f"{Path(self.model).stem}-b{self.batch}-{self.precision}"


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    for model in options.models.split(","):
        for batch in options.batch.split(","):
            for precision in options.precision.split(","):
                yield Cell(model, int(batch), precision)


def edgetune(*words: str | Path) -> bool:
    """Run the command and show it; whether it succeeded."""
    print(f"\n$ edgetune {' '.join(map(str, words))}", flush=True)
    return subprocess.run([sys.executable, str(ROOT / "cli.py"), *map(str, words)], check=False).returncode == 0


def measure(cell: Cell, options: argparse.Namespace, folder: Path) -> bool:
    """Tune, compile and measure a cell; whether all of it succeeded."""
    results = folder / "results.jsonl"
    if any(_is(line, cell) for line in read(results)):
        return True
    tuned, plain = folder / f"{cell.name}.tar", folder / f"{cell.name}-zero-trial.tar"
    with tempfile.TemporaryDirectory() as scratch:
        lines = Path(scratch) / "lines.jsonl"
        done = (
            _make(cell, options, folder, tuned, plain)
            and edgetune("bench", plain, "--json", lines)
            and edgetune("bench", tuned, "--vs", options.vs, "--profile", "--json", lines)
        )
        if done:  # all of a cell's lines or none: what is not done is done again
            with results.open("a", encoding="utf-8") as out:
                out.write(lines.read_text(encoding="utf-8"))
    return done


def _make(cell: Cell, options: argparse.Namespace, folder: Path, tuned: Path, plain: Path) -> bool:
    """Tune, and compile from the records and without any; whether all of it succeeded."""
    chosen = ["--target", options.target, "--batch", str(cell.batch), "--precision", cell.precision]
    logs = ["--logs", folder / "logs"]
    return (
        edgetune("tune", cell.model, *chosen, *logs, "--time", options.tune)
        and edgetune("compile", cell.model, *chosen, *logs, "-o", tuned)
        and edgetune("compile", cell.model, *chosen, "--zero-trial", "-o", plain)
    )


def read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _is(line: dict[str, Any], cell: Cell) -> bool:
    """Whether a line was measured in `cell`."""
    return (line["model"], line["batch"], line["precision"]) == (Path(cell.model).stem, cell.batch, cell.precision)


def summary(lines: list[dict[str, Any]], wanted: list[Cell]) -> str:
    """Ours over the best PyTorch and over the best peer, in images/s, and zero trials over tuned, in time."""
    rows = [
        "| cell | ours images/s | best PyTorch | ours over it | best peer | ours over it | zero trials over tuned |"
    ]
    rows.append("|" + " --- |" * 7)
    ratios: dict[tuple[int, str], list[float]] = {}
    for cell in wanted:
        found = [line for line in lines if _is(line, cell)]
        ours = [line["images_per_s"] for line in found if line["engine"] == "edgetune"]
        if len(ours) < 2:
            rows.append(f"| {cell.name} | not measured | | | | | |")
            continue
        plain, tuned = ours[:2]
        peers = {line["engine"]: line["images_per_s"] for line in found if line["engine"] != "edgetune"}
        texts, slower = [cell.name, f"{tuned:.0f}"], f"{tuned / plain:.2f}"
        for names in (("torch", "torch-compile"), tuple(peers)):
            best = max((peers[name], name) for name in names if name in peers) if peers.keys() & set(names) else None
            texts += ["none", ""] if best is None else [f"{best[1]} {best[0]:.0f}", f"{tuned / best[0]:.2f}"]
            if best is not None and names == ("torch", "torch-compile"):
                ratios.setdefault((cell.batch, cell.precision), []).append(tuned / best[0])
        rows.append(f"| {' | '.join([*texts, slower])} |")
    for (batch, precision), of_models in sorted(ratios.items()):
        mean = math.exp(sum(map(math.log, of_models)) / len(of_models))
        rows.append(
            f"\n{precision}, batch {batch}: geometric mean {mean:.2f} of the best PyTorch, least {min(of_models):.2f}."
        )
    return "\n".join(rows)


def dry_run(cell: Cell, options: argparse.Namespace, pool: Any) -> int:
    """Compile what would be measured, and build candidates of every kernel; how much of it failed."""
    import targets
    from compiler.build import compile_model
    from compiler.errors import EdgetuneError
    from compiler.frontend import load
    from compiler.graph.scheduling import hardware_of
    from compiler.tuning.search import Search
    from compiler.tuning.tune import expand

    target, started = targets.get(options.target), time.monotonic()
    model = load(cell.model, batch=cell.batch)
    with tempfile.TemporaryDirectory() as folder:
        try:
            built = compile_model(model, target, Path(folder) / "library.so", precision=cell.precision, reuse=True)
        except (EdgetuneError, RuntimeError) as error:
            print(f"{cell.name}: the package does not compile: {str(error).splitlines()[-1]}", flush=True)
            return 1
        jobs: list[dict[str, Any]] = []
        names: list[str] = []
        for number, task in enumerate(expand(model, target, cell.precision).tasks.values()):
            search = Search(task, target.to_tvm(), hardware_of(target), number)
            found = [c for c in (search.at(space, {}) for space in range(len(search.spaces))) if c is not None]
            if options.candidates:
                search.start([], frozenset())
                found += search.propose(options.candidates)
            for candidate in found:
                jobs.append(
                    {
                        "module": candidate.module,
                        "target": target.config(),
                        "library": f"{folder}/{len(jobs)}.so",
                    }
                )
                names.append(task.name)
        outcomes = pool.map("build", jobs, BUILD_SECONDS)
    failed = [(name, outcome.error) for name, outcome in zip(names, outcomes, strict=True) if outcome.error]
    for name, error in failed:
        print(f"{cell.name}: {name}: {error}", flush=True)
    print(
        f"{cell.name}: package with {len(built.kernels)} kernels; {len(jobs)} candidates of {len(set(names))} tasks "
        f"built, {len(failed)} failed, {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return len(failed)


def main() -> int:
    sys.path.insert(0, str(ROOT))
    import targets
    from targets.gpu import gpu

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="alexnet,googlenet,resnet50")
    parser.add_argument("--batch", default="1,128")
    parser.add_argument("--precision", default="fp16,fp32,tf32")
    parser.add_argument("--target", help="default: cuda, with --dry-run cuda-sm90")
    parser.add_argument("--tune", default="5m", help="time to tune each model, batch and precision")
    parser.add_argument("--vs", default=PEERS)
    parser.add_argument("--folder", default="gpu-results")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--candidates", type=int, default=0, help="of each kernel, beside the first of each space")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="builds at a time (dry run)")
    options = parser.parse_args()
    options.target = options.target or ("cuda-sm90" if options.dry_run else "cuda")
    wanted = list(cells(options))
    if options.dry_run:
        missing = targets.why_not_compile(targets.get(options.target))
        if missing is not None:
            sys.exit(f"error: {missing}")
        from compiler.tuning.workers import Pool
        from compiler.tvm_setup import prepare

        prepare("cuda")
        with Pool(options.jobs, 1) as pool:
            failed = sum(dry_run(cell, options, pool) for cell in wanted)
        print("nothing was measured: this was a dry run")
        return 1 if failed else 0
    if gpu() is None:
        sys.exit("error: this machine has no NVIDIA GPU (or no driver for it); --dry-run builds what would be measured")
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    done = [measure(cell, options, folder) for cell in wanted]
    edgetune("logs", "export", folder / "records.jsonl", "--logs", folder / "logs")
    text = summary(read(folder / "results.jsonl"), wanted)
    (folder / "summary.md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}")
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
