"""Compile built-in models for GPUs with no tuning, on a machine that needs none, and look at the machine code.

python benchmarks/gpu/compile_matrix.py [--models alexnet,...] [--arch 53,87] [--precision fp32,fp16] [--batch 1,128]
                                        [--json FILE] [--table FILE]

A row for each model x architecture x precision x batch: whether it compiled, whether the library holds a cubin for that
architecture, and the most of registers, shared memory, threads and stack that any kernel takes. With --json, cells that
the file has are not compiled again: the whole matrix takes hours, and may be stopped and started. With --table, the
file's rows as a table in Markdown. Nothing is run on a GPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Iterator
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


def cells(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for batch in options.batch.split(","):
        for precision in options.precision.split(","):
            for model in options.models.split(","):
                for arch in options.arch.split(","):
                    yield {"model": model, "arch": int(arch), "precision": precision, "batch": int(batch)}


def read(path: str | None) -> list[dict[str, Any]]:
    if path is None or not Path(path).exists():
        return []
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def compiled(cell: dict[str, Any]) -> dict[str, Any]:
    """What compiling the cell gave: figures, or `error`."""
    import targets
    from compiler.build import compile_model
    from compiler.cuda.checks import check_library
    from compiler.errors import EdgetuneError
    from compiler.frontend import load
    from compiler.graph.scheduling import hardware_of

    started = time.monotonic()
    target = targets.get(TARGETS[cell["arch"]])
    try:
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "library.so"
            built = compile_model(
                load(cell["model"], batch=cell["batch"]), target, library, precision=cell["precision"]
            )
            cubin = check_library(library, str(target.options["arch"]), hardware_of(target))
    except (EdgetuneError, RuntimeError) as error:  # what TVM raises has no type of its own
        said = (str(error).strip() or type(error).__name__).splitlines()[-1]
        return {"error": said, "seconds": round(time.monotonic() - started, 1)}
    kernels = cubin.kernels if cubin is not None else ()
    return {
        "seconds": round(time.monotonic() - started, 1),
        "tasks": built.tasks,
        "kernels": len(kernels),
        "cubin": cubin.arch if cubin is not None else None,
        "registers": max((k.registers for k in kernels), default=0),
        "shared_bytes": max((k.shared_bytes for k in kernels), default=0),
        "threads": max((k.max_threads or 0 for k in kernels), default=0),
        "stack_bytes": max((k.stack_bytes for k in kernels), default=0),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown: a line for each model, precision and batch, a column for each architecture."""
    shown = sorted({row["arch"] for row in rows})
    lines = [f"| model | precision | batch | {' | '.join(f'sm_{arch}' for arch in shown)} |"]
    lines.append("|" + " --- |" * (3 + len(shown)))
    groups: dict[tuple[str, str, int], dict[int, dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["precision"], row["batch"]), {})[row["arch"]] = row
    for model, precision, batch in sorted(groups, key=lambda group: (group[2], group[1], group[0])):
        found = groups[model, precision, batch]
        texts = [_cell(found.get(arch)) for arch in shown]
        lines.append(f"| {model} | {precision} | {batch} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "not run"
    if "error" in row:
        return "FAILED"
    stack = f", stack {row['stack_bytes']}" if row["stack_bytes"] else ""
    return f"{row['kernels']} kernels, {row['registers']} regs, {row['shared_bytes'] / 1024:.1f} KB{stack}"


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from compiler.frontend import builtin_names

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(builtin_names()))
    parser.add_argument("--arch", default=",".join(map(str, TARGETS)))
    parser.add_argument("--precision", default="fp32,fp16")
    parser.add_argument("--batch", default="1,128")
    parser.add_argument("--json", help="read and append a line per cell")
    parser.add_argument("--table", help="write the table of all rows of --json here")
    options = parser.parse_args()
    rows = read(options.json)
    known = {tuple(row[name] for name in KEY) for row in rows if "error" not in row}
    failed = 0
    for cell in cells(options):
        if tuple(cell[name] for name in KEY) in known:
            continue
        row = cell | compiled(cell)
        rows.append(row)
        failed += "error" in row
        what = f"FAILED {row['error']}" if "error" in row else f"{row['cubin']}: {_cell(row)}"
        where = f"{row['model']:13} sm_{row['arch']:<4} {row['precision']} batch {row['batch']:<4}"
        print(f"{where} {row['seconds']:6.1f} s  {what}", flush=True)
        if options.json:
            with Path(options.json).open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
        gc.collect()
    if options.table:
        latest = {tuple(row[name] for name in KEY): row for row in rows}
        Path(options.table).write_text(table(list(latest.values())), encoding="utf-8")
    print(f"{len(known)} cells known before, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
