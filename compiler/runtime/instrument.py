"""The virtual machine's own instrument: every call of a run of a model, as it happened.

Used where the model runs: in this process, and by the agent on a board (`edgetune.profile` of docs/agent-protocol.md,
which `agent/native/profile.cc` does as well).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

BUILTIN = "vm.builtin."
"""How the names of the virtual machine's own functions begin: allocation, shapes, control."""
GRAPH = "vm.builtin.cuda_graph."
"""A replayed graph is kernels; which of them takes how long, nobody sees."""


class RecordedRun(msgspec.Struct, frozen=True):
    """One run: when it began (seconds since 1970, UTC), the nanoseconds it took, and its calls as they began.

    A call is (index of its name, depth, nanoseconds from the run's beginning to its own, nanoseconds it took with all
    that it called itself). Calls at a depth are made by the nearest call before them of a lesser depth.
    """

    began: float
    nanoseconds: int
    calls: list[tuple[int, int, int, int]]


class Recorded(msgspec.Struct, frozen=True):
    """Runs of a model. `names` are functions, `bytes` what a call of each reads and writes, every tensor once.

    `clock` says whose time the kernels' is: `host`, which waits for the device after each kernel, or `device`, whose
    own events are put before and after each.
    """

    clock: str
    names: list[str]
    bytes: list[int]
    runs: list[RecordedRun]


class DeviceEvents(Protocol):
    """Marks in a device's queue, which carry the device's time."""

    def record(self) -> Any:
        """Put a mark at the end of the queue."""
        ...

    def nanoseconds(self, first: Any, last: Any) -> int:
        """From one mark to another, both of which have been reached."""
        ...

    def reuse(self) -> None:
        """Nobody asks for the marks made so far any more."""
        ...


def is_kernel(name: str) -> bool:
    """Whether a function of this name computes."""
    return not name.startswith(BUILTIN) or name.startswith(GRAPH)


class _Recorder:
    """What the virtual machine calls before and after each of its calls."""

    def __init__(self, sync: Callable[[], None], events: DeviceEvents | None) -> None:
        self.names: list[str] = []
        self.bytes: list[int] = []
        self._numbers: dict[str, int] = {}
        self._sync = sync
        self._events = events
        self._calls: list[list[int]] = []
        self._open: list[list[int]] = []
        self._marks: dict[int, list[Any]] = {}  # by the call's position
        self._origin = 0

    def run(self, invoke: Callable[[], object]) -> RecordedRun:
        """One run of the model."""
        self._calls, self._open, self._marks = [], [], {}
        if self._events is not None:
            self._sync()
            self._events.reuse()
            beginning = self._events.record()
        began = time.time()
        self._origin = time.perf_counter_ns()
        invoke()
        self._sync()
        nanoseconds = time.perf_counter_ns() - self._origin
        if self._events is not None:
            for position, (first, last) in self._marks.items():
                self._calls[position][2] = self._events.nanoseconds(beginning, first)
                self._calls[position][3] = self._events.nanoseconds(first, last)
        calls = [(number, depth, start, took) for number, depth, start, took in self._calls]
        return RecordedRun(began, nanoseconds, calls)

    def __call__(self, function: object, name: str, before: bool, result: object, *args: object) -> int:
        kernel = is_kernel(name)
        if before:
            call = [self._number(name, args), len(self._open), 0, 0]
            self._open.append(call)
            self._calls.append(call)
            if kernel and self._events is not None:
                self._marks[len(self._calls) - 1] = [self._events.record(), None]
                call[3] = len(self._calls) - 1  # until it ends
            call[2] = time.perf_counter_ns() - self._origin
            return 0
        if kernel and self._events is None:
            self._sync()
        end = time.perf_counter_ns() - self._origin
        call = self._open.pop()
        if kernel and self._events is not None:
            self._marks[call[3]][1] = self._events.record()
        call[3] = end - call[2]
        return 0

    def _number(self, name: str, args: tuple[object, ...]) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
            self.bytes.append(sum(_tensor_bytes(arg) for arg in args))
        return number


def record_runs(
    machine: Any,
    invoke: Callable[[], object],
    sync: Callable[[], None],
    runs: int,
    *,
    warm_up: bool = True,
    events: DeviceEvents | None = None,
) -> Recorded:
    """Instrument the virtual machine `machine` (its module) for good, and record `runs` runs of `invoke`.

    `invoke` runs a model on that machine; `sync` waits for its device. With `warm_up` two runs go before: one that has
    no instrument yet, in which what is done once is done (graphs of a GPU are captured), and one that has.
    """
    recorder = _Recorder(sync, events)
    if warm_up:
        invoke()
        sync()
    machine["set_instrument"](recorder)
    if warm_up:
        recorder.run(invoke)
    recorded = [recorder.run(invoke) for _ in range(max(1, runs))]
    return Recorded("host" if events is None else "device", recorder.names, recorder.bytes, recorded)


def _tensor_bytes(value: Any) -> int:
    if not hasattr(value, "numpy"):
        return 0
    # A virtual machine may hand over packed types (4 bits an element); sizes are rounded up to bytes.
    bits = value.dtype.bits * getattr(value.dtype, "lanes", 1)
    size = (bits + 7) // 8
    for extent in value.shape:
        size *= int(extent)
    return int(size)
