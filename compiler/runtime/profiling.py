"""Time per kernel, taken by the virtual machine's own instrument."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KernelTime:
    """One kernel in one run of the model: its calls, and the seconds of all of them together (median over runs).

    `bytes` is the size of all tensors that one call reads and writes, each counted once: the least that it can move.
    """

    name: str
    calls: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Profile:
    """The kernels, slowest first, and what the virtual machine spends between them.

    `seconds` is the median duration of an instrumented run; the instrument makes it longer than a plain one.
    """

    kernels: tuple[KernelTime, ...]
    machine_seconds: float
    seconds: float
    runs: int


_BUILTIN = "vm.builtin."


class _Instrument:
    """Called by the virtual machine before and after each of its calls; keeps the time that each takes itself."""

    def __init__(self, sync: Callable[[], None]) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self.bytes: dict[str, int] = {}
        self._sync = sync
        self._stack: list[list[float]] = []

    def __call__(self, function: object, name: str, before: bool, result: object, *args: object) -> int:
        if before:
            if name not in self.bytes:
                self.bytes[name] = sum(_tensor_bytes(arg) for arg in args)
            self._stack.append([0.0, 0.0])  # start, seconds of what it calls itself
            self._stack[-1][0] = time.perf_counter()
            return 0
        if not name.startswith(_BUILTIN):
            self._sync()
        end = time.perf_counter()
        start, nested = self._stack.pop()
        if self._stack:
            self._stack[-1][1] += end - start
        self.seconds[name] = self.seconds.get(name, 0.0) + (end - start - nested)
        self.calls[name] = self.calls.get(name, 0) + 1
        return 0

    def take(self) -> tuple[dict[str, float], dict[str, int]]:
        """What was counted since the last time."""
        counted = (self.seconds, self.calls)
        self.seconds, self.calls = {}, {}
        return counted


def profile_calls(vm: Any, invoke: Callable[[], object], sync: Callable[[], None], runs: int) -> Profile:
    """Instrument `vm` for good and run `invoke`, which runs a model on it, `runs` times after one warm-up."""
    instrument = _Instrument(sync)
    vm.set_instrument(instrument)
    invoke()
    instrument.take()
    totals: list[float] = []
    counted: list[dict[str, float]] = []
    calls: dict[str, int] = {}
    for _ in range(max(1, runs)):
        start = time.perf_counter()
        invoke()
        totals.append(time.perf_counter() - start)
        seconds, calls = instrument.take()
        counted.append(seconds)
    medians = {name: statistics.median(run.get(name, 0.0) for run in counted) for name in calls}
    kernels = [
        KernelTime(name, calls[name], medians[name], instrument.bytes[name])
        for name in medians
        if not name.startswith(_BUILTIN)
    ]
    return Profile(
        kernels=tuple(sorted(kernels, key=lambda kernel: -kernel.seconds)),
        machine_seconds=sum(seconds for name, seconds in medians.items() if name.startswith(_BUILTIN)),
        seconds=statistics.median(totals),
        runs=len(totals),
    )


def _tensor_bytes(value: Any) -> int:
    if not hasattr(value, "numpy"):
        return 0
    # A virtual machine may hand over packed types (4 bits an element); sizes are rounded up to bytes.
    bits = value.dtype.bits * getattr(value.dtype, "lanes", 1)
    return math.prod(value.shape) * math.ceil(bits / 8)
