"""Compile built-in models for GPUs with no tuning, on a machine that needs none, and look at the machine code.

python benchmarks/gpu/compile_matrix.py [--models alexnet,...] [--arch 53,87] [--precision fp32,fp16] [--batch 1,128]
                                        [--json FILE] [--table FILE] [--jobs N]

A cell is a model for an architecture at a precision and a batch: whether it compiled, whether the library holds a cubin
for that architecture, and the most of registers, shared memory, threads and stack that any kernel takes. With --json,
cells that the file has of the same source files are not compiled again: the whole matrix takes long, and may be stopped
and started. With --table, all rows of the file as a page in Markdown. Nothing is run on a GPU.

The architectures of a model share its import and its lowering, in one process; --jobs of these run side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {
    53: "jetson-tx1",
    62: "jetson-tx2",
    72: "jetson-xavier",
    75: "cuda-sm75",
    80: "cuda-sm80",
    86: "cuda-sm86",
    87: "jetson-orin",
    89: "cuda-sm89",
    90: "cuda-sm90",
    110: "jetson-thor",
}
KEY = ("model", "arch", "precision", "batch")
GROUP_SECONDS = 7200.0

Row = dict[str, Any]


def groups(options: argparse.Namespace) -> Iterator[Row]:
    """What shares one lowering: model, precision and batch, small ones first."""
    for batch in options.batch.split(","):
        for precision in options.precision.split(","):
            for model in options.models.split(","):
                yield {"model": model, "precision": precision, "batch": int(batch)}


def read(path: str | None) -> list[Row]:
    if path is None or not Path(path).exists():
        return []
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def sources() -> str:
    """The hash of what decides what is compiled."""
    import hashlib

    digest = hashlib.sha256()
    for folder in ("schedules/cuda", "compiler/graph", "compiler/cuda", "compiler/frontend", "targets"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def compile_group(group: Row, archs: list[int]) -> None:
    """Compile the cells of a group, in this process; a line of JSON for each on stdout."""
    import targets
    from compiler.cuda.front import lower_for_gpus
    from compiler.errors import EdgetuneError
    from compiler.frontend import load
    from compiler.tvm_setup import prepare

    prepare("cuda")
    started = time.monotonic()
    try:
        model = load(group["model"], batch=group["batch"])
        lowered = lower_for_gpus(model, group["precision"])
    except (EdgetuneError, RuntimeError) as error:
        for arch in archs:
            say({**group, "arch": arch, "error": _line(error)})
        return
    shared = time.monotonic() - started
    for arch in archs:
        began, used = time.monotonic(), _cpu_seconds()
        target = targets.get(TARGETS[arch])
        try:
            row = compiled(model, target, group["precision"], lowered)
        except (EdgetuneError, RuntimeError) as error:  # what TVM raises has no type of its own
            row = {"error": _line(error)}
        row |= {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(_cpu_seconds() - used, 1)}
        say({**group, "arch": arch, **row, "lowering_seconds": round(shared, 1)})


def compiled(model: Any, target: Any, precision: str, lowered: Any) -> Row:
    """What compiling a cell gave."""
    from compiler.build import compile_model
    from compiler.cuda.checks import check_library
    from compiler.graph.scheduling import hardware_of

    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library.so"
        built = compile_model(model, target, library, precision=precision, lowered=lowered)
        cubin = check_library(library, str(target.options["arch"]), hardware_of(target))
        size = library.stat().st_size
    kernels = cubin.kernels if cubin is not None else ()
    return {
        "tasks": built.tasks,
        "kernels": len(kernels),
        "cubin": cubin.arch if cubin is not None else None,
        "registers": max((k.registers for k in kernels), default=0),
        "shared_bytes": max((k.shared_bytes for k in kernels), default=0),
        "threads": max((k.max_threads or 0 for k in kernels), default=0),
        "stack_bytes": max((k.stack_bytes for k in kernels), default=0),
        "kept_fp32": len(built.kept_fp32),
        "library_bytes": size,
    }


def say(row: Row) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def run_group(group: Row, archs: list[int]) -> Iterator[Row]:
    """The rows of a group, from a process of its own: one that dies takes no other with it."""
    command = [sys.executable, __file__, "--group", json.dumps(group), "--arch", ",".join(map(str, archs))]
    left = set(archs)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        ends = threading.Timer(GROUP_SECONDS, process.kill)
        ends.start()
        try:
            for line in process.stdout or ():
                if line.startswith("{"):
                    row = json.loads(line)
                    left.discard(row["arch"])
                    yield row
        finally:
            ends.cancel()
            process.kill()
            process.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
    for arch in sorted(left):
        yield {**group, "arch": arch, "error": f"the process ended with {process.returncode}: {said[-1:]}"}


def page(rows: list[Row], now: str) -> str:
    """The rows as a page: a line for each model, precision and batch, a column for each architecture."""
    shown = sorted({row["arch"] for row in rows})
    bad = [row for row in rows if "error" in row]
    marks = ", ".join(sorted({row.get("sources", "of another time") for row in rows}))
    whole = len(TARGETS) * 4 * len({row["model"] for row in rows})
    lines = [
        "# What was compiled for which GPU",
        "",
        "Made by `python benchmarks/gpu/compile_matrix.py --json FILE --table docs/cuda-matrix.md` on a machine",
        f"without a GPU, {now}. Source files: {marks}. Zero trials. Nothing was run on a GPU.",
        "",
        "A cell: kernels in the package's machine code, the most registers of a thread, the most static shared memory",
        "of a block; `stack` where registers were spilled. Every library was checked for a cubin of its architecture,",
        "and every kernel against the GPU's limits (`compiler/cuda/checks.py`).",
        "",
        f"{len(rows)} of {whole} cells of these models were compiled, {len(bad)} failed.",
        "",
        f"| model | precision | batch | {' | '.join(f'sm_{arch}' for arch in shown)} |",
        "|" + " --- |" * (3 + len(shown)),
    ]
    found: dict[tuple[str, str, int], dict[int, Row]] = {}
    for row in rows:
        found.setdefault((row["model"], row["precision"], row["batch"]), {})[row["arch"]] = row
    for model, precision, batch in sorted(found, key=lambda group: (group[2], group[1], group[0])):
        texts = [_cell(found[model, precision, batch].get(arch)) for arch in shown]
        lines.append(f"| {model} | {precision} | {batch} | {' | '.join(texts)} |")
    if bad:
        lines += ["", "Failures:", ""]
        lines += [
            f"- {r['model']} sm_{r['arch']} {r['precision']} batch {r['batch']}: {r['error']}"
            for r in sorted(bad, key=lambda r: (r["model"], r["arch"], r["precision"], r["batch"]))
        ]
    return "\n".join(lines) + "\n"


def _cell(row: Row | None) -> str:
    if row is None:
        return "not run"
    if "error" in row:
        return "FAILED"
    stack = f", stack {row['stack_bytes']}" if row["stack_bytes"] else ""
    return f"{row['kernels']} kernels, {row['registers']} regs, {row['shared_bytes'] / 1024:.1f} KiB{stack}"


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1][:300]


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from compiler.frontend import builtin_names

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(builtin_names()))
    parser.add_argument("--arch", default=",".join(map(str, TARGETS)))
    parser.add_argument("--precision", default="fp32,fp16")
    parser.add_argument("--batch", default="1,128")
    parser.add_argument("--json", help="read and append a line per cell")
    parser.add_argument("--table", help="write the page of all rows of --json here")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes side by side")
    parser.add_argument("--group", help=argparse.SUPPRESS)
    options = parser.parse_args()
    from compiler.precision import OLDEST_WITH_TF32, TF32

    archs = [int(arch) for arch in options.arch.split(",")]
    if options.group:
        compile_group(json.loads(options.group), archs)
        return 0
    mark = sources()
    rows = read(options.json)
    known = {tuple(row[name] for name in KEY) for row in rows if "error" not in row and row.get("sources") == mark}
    lock, failed = threading.Lock(), 0

    def work(group: Row) -> None:
        nonlocal failed
        able = [a for a in archs if group["precision"] != TF32 or a >= OLDEST_WITH_TF32]
        missing = [a for a in able if (group["model"], a, group["precision"], group["batch"]) not in known]
        for row in run_group(group, missing) if missing else ():
            row["sources"] = mark
            what = f"FAILED {row['error']}" if "error" in row else f"{row['cubin']}: {_cell(row)}"
            where = f"{row['model']:13} sm_{row['arch']:<4} {row['precision']} batch {row['batch']:<4}"
            with lock:
                rows.append(row)
                failed += "error" in row
                print(f"{where} {row.get('seconds', 0):6.1f} s  {what}", flush=True)
                if options.json:
                    with Path(options.json).open("a", encoding="utf-8") as out:
                        out.write(json.dumps(row) + "\n")

    started = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        for done in [pool.submit(work, group) for group in groups(options)]:
            done.result()
    if options.table:
        latest = {tuple(row[name] for name in KEY): row for row in rows if row.get("sources") == mark}
        now = datetime.now(timezone.utc).date().isoformat()
        Path(options.table).write_text(page(list(latest.values()), now), encoding="utf-8")
    print(f"{len(known)} cells known before, {failed} failed, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
