"""Shared libraries that misbehave, and one that does not, for the tests of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import targets
from compiler.linker import linker
from compiler.tuning.workers import Outcome, Pool

ONE_FLOAT = [((4,), "float32"), ((4,), "float32")]

BODIES = {
    "crash": "*(volatile int*)0 = 1;",
    "abort": "abort();",
    "exit": "_exit(7);",
    "hang": "for (;;) usleep(1000);",
    "spin": "for (volatile long i = 0;; i++) {}",
}


def misbehaving(folder: Path, what: str, triple: str | None = None) -> Path:
    """A library whose constructor does what `BODIES` says, for this machine or the platform `triple`."""
    source, library = folder / f"{what}.cc", folder / f"{what}.so"
    source.write_text(
        "#include <stdlib.h>\n#include <unistd.h>\n"
        f"__attribute__((constructor)) static void loaded() {{ {BODIES[what]} }}\n"
    )
    linker(triple)(str(library), [str(source)])
    return library


def module(formula: str = "x + 1", parameters: int = 2) -> str:
    """TVM's JSON of {"main": y[i] = formula(x[i])} on four floats; further `parameters` before y are not used."""
    import tvm
    from tvm import te

    x = te.placeholder((4,), "float32", name="x")
    more = [te.placeholder((4,), "float32", name=f"x{i}") for i in range(parameters - 2)]
    y = te.compute((4,), lambda i: eval(formula, {"x": x[i], "te": te, "tvm": tvm}), name="y")
    return tvm.ir.save_json(
        tvm.IRModule({"main": te.create_prim_func([x, *more, y]).with_attr("global_symbol", "main")})
    )


def build_job(
    folder: Path,
    name: str = "good",
    formula: str = "x + 1",
    parameters: int = 2,
    target: dict[str, Any] | None = None,
) -> dict[str, Any]:
    config = target or targets.get("native").config()
    return {"module": module(formula, parameters), "target": config, "library": str(folder / f"{name}.so")}


def built(pool: Pool, folder: Path, name: str = "good", formula: str = "x + 1") -> dict[str, Any]:
    """The job that measures a library which computes `formula`."""
    [outcome] = pool.map("build", [build_job(folder, name, formula)], 240)
    assert outcome.error is None, outcome.error
    return measure_job(Path(outcome.value[0]), outcome.value[1])


def measure_job(library: Path, arguments: list[tuple[tuple[int, ...], str]] | None = None) -> dict[str, Any]:
    return {
        "library": str(library),
        "arguments": arguments or ONE_FLOAT,
        "weights": [],
        "repeats": 2,
        "repeat_seconds": 0.001,
        "give_up": None,
    }


def good(outcome: Outcome) -> bool:
    """Whether a measurement came back with two positive times."""
    return outcome.error is None and len(outcome.value) == 2 and all(s > 0 for s in outcome.value)
