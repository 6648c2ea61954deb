"""Runs products of a whole model, at their real sizes, in the emulator, and compares them with the CPU's plain kernels:

    python -m tests.cuda.real_sizes squeezenet jetson-orin fp16 --every 2

Not a test: a layer takes 5 to 90 seconds. `docs/cuda.md` quotes what it prints.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tvm
from tvm import s_tir, tirx

import targets
from compiler.cuda.front import lower_for_gpus
from compiler.frontend import load
from compiler.graph.scheduling import as_task, hardware_of, plain, schedulable, zero_trial
from compiler.tvm_setup import prepare
from schedules.cuda.blocks import kernel_of, root_blocks
from tests.cuda.emulator import run
from tests.schedules.kernels_for_tests import Case

PRODUCTS = {"conv2d", "grouped", "dense", "winograd"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("target")
    parser.add_argument("precision", choices=("fp16", "fp32", "tf32"))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th product")
    options = parser.parse_args()
    prepare("cuda")
    target = targets.get(options.target)
    found = []
    for number, (name, task) in enumerate(products(options.model, options.precision)):
        if number % options.every:
            continue
        started = time.perf_counter()
        found.append(error_of(task, target, number))
        print(f"{name}: {found[-1]:.1e} of the largest value, {time.perf_counter() - started:.0f} s", flush=True)
    print(f"{len(found)} products, the worst {max(found):.1e}")


def products(model: str, precision: str) -> Iterator[tuple[str, tvm.IRModule]]:
    """Names and tasks of the kernels that multiply matrices."""
    lowered = lower_for_gpus(load(model), precision).lowered
    for gvar, func in lowered.mod.functions.items():
        if isinstance(func, tirx.PrimFunc) and schedulable(func):
            task = as_task(func)
            sch = s_tir.Schedule(task)
            if PRODUCTS & {kernel_of(sch, block) for block in root_blocks(sch)}:
                yield str(gvar.name_hint), task


def error_of(task: tvm.IRModule, target: targets.Target, seed: int) -> float:
    """The largest difference between both, of the largest value; what one writes the other must write, too."""
    arguments = [_random(param, position, seed) for position, param in enumerate(task["main"].params[:-1])]
    native = targets.get("native")
    expected = _empty(task["main"].params[-1])
    tensors = [tvm.runtime.tensor(a) for a in (*arguments, expected)]
    tvm.compile(plain(task, hardware_of(native)).mod, target=native.to_tvm())["main"](*tensors)
    wanted = tensors[-1].numpy().astype("float64")
    sch = zero_trial(task, hardware_of(target))
    with tempfile.TemporaryDirectory() as folder:
        case = Case(task, arguments, wanted)
        got = run(sch, case, target.to_tvm(), Path(folder), backwards=seed % 2 == 1).astype("float64")
    if (np.isnan(got) != np.isnan(wanted)).any():
        return float("inf")
    return float(np.nanmax(np.abs(got - wanted)) / np.nanmax(np.abs(wanted)))


def _random(param: tirx.Var, position: int, seed: int) -> np.ndarray:
    """Normal numbers; weights, which come second, are small, so that sums are of the size of the data."""
    shape = [int(d) for d in param.shape]
    values = np.random.default_rng([seed, position]).standard_normal(shape, dtype="float32")
    if position == 1 and len(shape) > 1:
        values /= np.sqrt(np.prod(shape[:-1]))
    return values.astype(str(param.dtype))


def _empty(param: tirx.Var) -> np.ndarray:
    return np.full([int(d) for d in param.shape], np.nan, str(param.dtype))


if __name__ == "__main__":
    main()
