"""Measuring a candidate: random arguments, weights cold as they are in a model, every repeat kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np

from compiler.cuda.runtime import load_to_run
from compiler.errors import EdgetuneError
from compiler.parallel.threads import end_library_threads, set_library_threads
from compiler.runtime.measure.arguments import ArgumentSets, random_array
from compiler.runtime.measure.device_clock import DeviceClock, device_clock

WARM_SECONDS = 0.003
"""Threads that have slept miss the first calls, which then look twice as slow: a quarter of the good candidates was
given up for that."""

_argument_sets: dict[str, ArgumentSets] = {}


def measure(
    library: str,
    arguments: list[tuple[tuple[int, ...], str]],
    weights: list[int],
    repeats: int,
    repeat_seconds: float,
    give_up: float | None,
    cpus: Sequence[int] = (),
    device: str = "cpu",
    cold_bytes: int | None = None,
    l2: str = "rotate",
) -> list[float]:
    """Seconds a call, one number per repeat, of the function `main` in `library`.

    `arguments` are shape and dtype of all parameters, the output last; `weights` the positions of those that are
    rotated, through copies of `cold_bytes` in all (default: COLD_BYTES). A repeat lasts `repeat_seconds` or longer,
    flushes included: one may take thirty times as long as a kernel. If two calls take more than `give_up` seconds each,
    the shorter is all that is measured. One thread computes on each of `cpus`, and stays there: two that share one for
    a while make a kernel look twice as slow. `device` is TVM's name of where the arguments are (`cpu`, `cuda`), whose
    own events time the calls where it has some. `l2` is one of `device_clock.KINDS`: with `flush` or `warm` weights are
    not rotated. Raises EdgetuneError if the output holds a NaN whatever the signs of the inputs.
    """
    import tvm

    if device == "cuda":
        load_to_run()
    module = tvm.runtime.load_module(library)
    if cpus:
        set_library_threads(module, len(cpus), cpus)
    try:
        cold_bytes = cold_bytes if l2 == "rotate" else 1  # one copy
        sets = _argument_sets.setdefault(device, ArgumentSets(device)).of(arguments, weights, cold_bytes)
        clock = device_clock(device, l2 == "flush")
        return _measure(module["main"], sets, arguments, repeats, repeat_seconds, give_up, device, clock)
    finally:
        end_library_threads(module)


def _measure(
    function: Callable[..., Any],
    sets: list[list[Any]],
    arguments: list[tuple[tuple[int, ...], str]],
    repeats: int,
    repeat_seconds: float,
    give_up: float | None,
    device: str,
    clock: DeviceClock | None = None,
) -> list[float]:
    import tvm

    place = tvm.device(device)
    # A GPU's calls return when they are queued: a time ends when the last of them is done.
    wait = _nothing if device == "cpu" else place.sync
    function(*sets[-1])  # first touch of scratch memory
    if _holds_nan(sets[-1][-1]):
        # A root or a logarithm: in a model it gets positive numbers from the kernel before.
        random = np.random.default_rng(0)
        positive = [
            tvm.runtime.tensor(random_array(random, *argument, positive=True), device=place) for argument in arguments
        ]
        function(*positive)
        if _holds_nan(positive[-1]):
            raise EdgetuneError("the output holds NaN")
    # One turn after another: a repeat that began at the first copy again would find it in the cache.
    turns = cycle(sets)
    _warm(function, turns, wait)
    first = _time(function, turns, 1, wait, clock)
    if give_up is not None and first > give_up:
        first = min(first, _time(function, turns, 1, wait, clock))
        if first > give_up:
            return [first]
    between = clock.flush_seconds if clock is not None else 0.0
    calls = max(1, int(repeat_seconds / max(first + between, 1e-7)))
    return [_time(function, turns, calls, wait, clock) for _ in range(repeats)]


def _holds_nan(output: Any) -> bool:
    array = output.numpy()
    return bool(array.dtype.kind == "f" and np.isnan(array).any())


def _nothing() -> None:
    """What is waited for where a call returns when it is done."""


def _warm(function: Any, turns: Iterator[list[Any]], wait: Callable[[], Any] = _nothing) -> None:
    """Call `function` until its threads are awake, once at least."""
    started = time.perf_counter()
    for arguments in turns:
        function(*arguments)
        wait()
        if time.perf_counter() - started > WARM_SECONDS:
            return


def _time(
    function: Any,
    sets: Iterator[list[Any]],
    calls: int,
    wait: Callable[[], Any] = _nothing,
    clock: DeviceClock | None = None,
) -> float:
    if clock is not None:
        return clock.seconds(function, islice(sets, calls))
    started = time.perf_counter()
    for arguments in islice(sets, calls):
        function(*arguments)
    wait()
    return (time.perf_counter() - started) / calls
