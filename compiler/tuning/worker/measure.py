"""Measuring a candidate: random arguments, weights cold as they are in a model, every repeat kept."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from compiler.errors import EdgetuneError
from compiler.parallel.threads import end_library_threads, set_library_threads

COLD_BYTES = 256 << 20
"""Weights are rotated through copies of this many bytes in all: in a model each kernel finds its own evicted by the
others', and a kernel measured with warm weights would be chosen for a time that the model never sees. A multiple of
what a last cache holds: with 64 MB, a dense layer of 67 MB was measured at three times the bandwidth of the memory."""
MAX_COPIES = 64

_arguments: dict[tuple, list[list[Any]]] = {}


def measure(
    library: str,
    arguments: list[tuple[tuple[int, ...], str]],
    weights: list[int],
    repeats: int,
    repeat_seconds: float,
    give_up: float | None,
    cpus: Sequence[int] = (),
) -> list[float]:
    """Seconds a call, one number per repeat, of the function `main` in `library`.

    `arguments` are shape and dtype of all parameters, the output last; `weights` the positions of those that are
    rotated. A repeat lasts `repeat_seconds` or longer. If two calls take more than `give_up` seconds each, the shorter
    is all that is measured. One thread computes on each of `cpus`, and stays there: two that share one for a while make
    a kernel look twice as slow. Raises EdgetuneError if the output holds a NaN whatever the signs of the inputs.
    """
    import tvm

    module = tvm.runtime.load_module(library)
    if cpus:
        set_library_threads(module, len(cpus), cpus)
    try:
        return _measure(module["main"], arguments, weights, repeats, repeat_seconds, give_up)
    finally:
        end_library_threads(module)


def _measure(
    function: Any,
    arguments: list[tuple[tuple[int, ...], str]],
    weights: list[int],
    repeats: int,
    repeat_seconds: float,
    give_up: float | None,
) -> list[float]:
    import tvm

    sets = _sets(arguments, weights)
    function(*sets[0])  # first touch of scratch memory
    if _holds_nan(sets[0][-1]):
        # A root or a logarithm: in a model it gets positive numbers from the kernel before.
        random = np.random.default_rng(0)
        positive = [tvm.runtime.tensor(random_array(random, *argument, positive=True)) for argument in arguments]
        function(*positive)
        if _holds_nan(positive[-1]):
            raise EdgetuneError("the output holds NaN")
    first = _time(function, sets, 1)
    if give_up is not None and first > give_up:
        first = min(first, _time(function, sets, 1))
        if first > give_up:
            return [first]
    calls = max(1, int(repeat_seconds / max(first, 1e-7)))
    return [_time(function, sets, calls) for _ in range(repeats)]


def _holds_nan(output: Any) -> bool:
    array = output.numpy()
    return bool(array.dtype.kind == "f" and np.isnan(array).any())


def _time(function: Any, sets: list[list[Any]], calls: int) -> float:
    started = time.perf_counter()
    for index in range(calls):
        function(*sets[index % len(sets)])
    return (time.perf_counter() - started) / calls


def _sets(arguments: list[tuple[tuple[int, ...], str]], weights: list[int]) -> list[list[Any]]:
    """Argument lists that share all but the weights. Those of the last kernel are kept: candidates come in batches."""
    import tvm

    key = (tuple(arguments), tuple(weights))
    if key in _arguments:
        return _arguments[key]
    _arguments.clear()
    _trim()
    random = np.random.default_rng(0)

    values = [random_array(random, shape, dtype) for shape, dtype in arguments]
    shared = [tvm.runtime.tensor(value) for value in values]
    size = sum(int(np.prod(arguments[p][0])) * np.dtype(arguments[p][1]).itemsize for p in weights)
    copies = min(MAX_COPIES, -(-COLD_BYTES // size)) if size else 1
    sets = [shared]
    for _ in range(copies - 1):
        sets.append([tvm.runtime.tensor(values[p]) if p in weights else shared[p] for p in range(len(arguments))])
    _arguments[key] = sets
    return sets


def random_array(random: np.random.Generator, shape: tuple[int, ...], dtype: str, positive: bool = False) -> np.ndarray:
    """Values such as activations and weights have: normal for floating point (between 0 and 1 if they are to be
    `positive`), 0 for integers (indices in bounds)."""
    if np.dtype(dtype).kind == "f":
        if positive:
            return random.uniform(0.1, 1.0, shape).astype(dtype)
        return random.standard_normal(shape, dtype="float32").astype(dtype)
    if np.dtype(dtype).kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    return np.zeros(shape, dtype)


def _trim() -> None:
    """Give the memory of the last kernel's arguments back to the system."""
    with contextlib.suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)
