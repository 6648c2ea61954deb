"""Measuring a candidate: random arguments, weights cold as they are in a model, every repeat kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np

from compiler.errors import EdgetuneError
from compiler.parallel.threads import end_library_threads, set_library_threads
from compiler.tuning.worker.arguments import ArgumentSets, random_array

WARM_SECONDS = 0.003
"""Threads that have slept miss the first calls, which then look twice as slow: a quarter of the good candidates was
given up for that."""

_argument_sets = ArgumentSets()


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

    sets = _argument_sets.of(arguments, weights)
    function(*sets[-1])  # first touch of scratch memory
    if _holds_nan(sets[-1][-1]):
        # A root or a logarithm: in a model it gets positive numbers from the kernel before.
        random = np.random.default_rng(0)
        positive = [tvm.runtime.tensor(random_array(random, *argument, positive=True)) for argument in arguments]
        function(*positive)
        if _holds_nan(positive[-1]):
            raise EdgetuneError("the output holds NaN")
    # One turn after another: a repeat that began at the first copy again would find it in the cache.
    turns = cycle(sets)
    _warm(function, turns)
    first = _time(function, turns, 1)
    if give_up is not None and first > give_up:
        first = min(first, _time(function, turns, 1))
        if first > give_up:
            return [first]
    calls = max(1, int(repeat_seconds / max(first, 1e-7)))
    return [_time(function, turns, calls) for _ in range(repeats)]


def _holds_nan(output: Any) -> bool:
    array = output.numpy()
    return bool(array.dtype.kind == "f" and np.isnan(array).any())


def _warm(function: Any, turns: Iterator[list[Any]]) -> None:
    """Call `function` until its threads are awake, once at least."""
    started = time.perf_counter()
    for arguments in turns:
        function(*arguments)
        if time.perf_counter() - started > WARM_SECONDS:
            return


def _time(function: Any, sets: Iterator[list[Any]], calls: int) -> float:
    started = time.perf_counter()
    for arguments in islice(sets, calls):
        function(*arguments)
    return (time.perf_counter() - started) / calls
