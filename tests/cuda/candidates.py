"""Runs some blocks of what a search would measure, at real sizes, in the emulator: nothing may be read or written where
a GPU cannot, and nothing outside of the arrays. What is computed is not looked at.

    python -m tests.cuda.candidates googlenet cuda-sm90 fp16 --batch 128 --every 5

Not a test: a candidate takes two seconds. `docs/cuda.md` quotes what it prints.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tvm import s_tir, tirx

import targets
from compiler.frontend import load
from compiler.graph.scheduling import hardware_of
from compiler.tuning.search import Search
from compiler.tuning.tune import expand
from compiler.tvm_setup import prepare
from tests.cuda.emulator import Program
from tests.schedules.kernels_for_tests import Case

BLOCKS = 3
_SECONDS = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("target")
    parser.add_argument("precision")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th candidate")
    options = parser.parse_args()
    prepare("cuda")
    target, started = targets.get(options.target), time.monotonic()
    count = seen = 0
    wrong = []
    model = load(options.model, batch=options.batch)
    for number, task in enumerate(expand(model, target, options.precision).tasks.values()):
        search = Search(task, target.to_tvm(), hardware_of(target), number)
        for space in range(len(search.spaces)):
            seen += 1
            if seen % options.every:
                continue
            candidate = search.at(space, {})
            if candidate is None:
                continue
            count += 1
            why = _checked(candidate.module, target)
            if why is not None:
                wrong.append(f"{task.name}, space {space}: {why}")
                print(wrong[-1], flush=True)
    print(f"{count} candidates of {model.name}, {len(wrong)} wrong, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


def _checked(module: str, target: targets.Target) -> str | None:
    """None, or what is wrong. In a process of its own, which a wrong kernel may end."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(module, target, theirs))
    process.start()
    theirs.close()
    said = None
    if ours.poll(_SECONDS):
        try:
            said = ours.recv()
        except EOFError:
            process.join()
            said = f"ended by signal {-(process.exitcode or 0)}: outside of its arrays?"
    else:
        said = "takes too long"
    process.kill()
    process.join()
    return said or None


def _run(module: str, target: targets.Target, answer: object) -> None:
    from tvm_ffi.serialization import from_json_graph_str

    with tempfile.TemporaryDirectory() as folder:
        mod = from_json_graph_str(module)
        program = Program(s_tir.Schedule(mod), target.to_tvm(), Path(folder))
        ctypes.c_int.in_dll(program.library, "emulator_blocks").value = BLOCKS
        arguments = [guarded(param, 1.0) for param in mod["main"].params[:-1]]
        try:
            program(Case(mod, arguments, np.zeros(1)), backwards=False, empty=guarded)
            answer.send("")  # type: ignore[attr-defined]
        except AssertionError as error:
            answer.send(str(error))  # type: ignore[attr-defined]


def guarded(param: tirx.Var, value: float | None = None) -> np.ndarray:
    """An array of `value` (default: as memory is that nobody has written) whose end is the end of what may be touched,
    but for what a GPU aligns arrays by."""
    dtype = np.dtype(str(param.dtype))
    shape = [int(d) for d in param.shape]
    used = -(-int(np.prod(shape)) * dtype.itemsize // 256) * 256
    whole = -(-used // mmap.PAGESIZE) * mmap.PAGESIZE
    pages = mmap.mmap(-1, whole + mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + whole), mmap.PAGESIZE, 0) != 0:
        raise OSError("mprotect")
    array = np.frombuffer(pages, dtype, int(np.prod(shape)), whole - used).reshape(shape)
    if value is not None:
        array[...] = value
    return array


if __name__ == "__main__":
    sys.exit(main())
