"""Time per kernel, from what the virtual machine's instrument has recorded."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from compiler.errors import EdgetuneError
from compiler.runtime.instrument import Recorded, RecordedRun, is_kernel


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
class CallTime:
    """One call of a run: `start` is in seconds since the run began, `depth` 0 for what the model itself calls."""

    name: str
    start: float
    seconds: float
    depth: int = 0

    @property
    def kernel(self) -> bool:
        """Whether it computes; the virtual machine's own functions do not."""
        return is_kernel(self.name)


@dataclass(frozen=True)
class ProfiledRun:
    """One run: when it began (seconds since 1970 by the device's clock), how long it took, its calls as they began."""

    began: float
    seconds: float
    calls: tuple[CallTime, ...]


@dataclass(frozen=True)
class Profile:
    """The kernels, slowest first, and what the virtual machine spends between them.

    `seconds` is the median duration of an instrumented run; the instrument makes it longer than a plain one. `clock` is
    `host` or `device` (see `compiler.runtime.instrument.Recorded`); `timeline` has every run, call by call.
    """

    kernels: tuple[KernelTime, ...]
    machine_seconds: float
    seconds: float
    runs: int
    clock: str = "host"
    timeline: tuple[ProfiledRun, ...] = ()


def summarise(recorded: Recorded) -> Profile:
    """The profile of what was recorded. Raises EdgetuneError where that cannot be: a board may send anything."""
    _must_be_sound(recorded)
    counted = [_own_times(run) for run in recorded.runs]
    calls: dict[int, int] = {}
    for number, _, _, _ in recorded.runs[-1].calls:
        calls[number] = calls.get(number, 0) + 1
    medians = {number: statistics.median(run.get(number, 0) for run in counted) * 1e-9 for number in calls}
    kernels = [
        KernelTime(recorded.names[number], calls[number], seconds, recorded.bytes[number])
        for number, seconds in medians.items()
        if is_kernel(recorded.names[number])
    ]
    return Profile(
        kernels=tuple(sorted(kernels, key=lambda kernel: -kernel.seconds)),
        machine_seconds=sum(s for number, s in medians.items() if not is_kernel(recorded.names[number])),
        seconds=statistics.median(run.nanoseconds for run in recorded.runs) * 1e-9,
        runs=len(recorded.runs),
        clock=recorded.clock,
        timeline=tuple(
            ProfiledRun(
                run.began,
                run.nanoseconds * 1e-9,
                tuple(
                    CallTime(recorded.names[n], start * 1e-9, took * 1e-9, depth) for n, depth, start, took in run.calls
                ),
            )
            for run in recorded.runs
        ),
    )


def joined(parts: list[Recorded]) -> Recorded:
    """What was recorded of one model in several parts, as one."""
    first = parts[0]
    numbers = {name: number for number, name in enumerate(first.names)}
    names, sizes = list(first.names), list(first.bytes)
    runs: list[RecordedRun] = []
    for part in parts:
        _must_be_sound(part)
        for name, size in zip(part.names, part.bytes, strict=True):
            if name not in numbers:
                numbers[name] = len(names)
                names.append(name)
                sizes.append(size)
        renumbered = [numbers[name] for name in part.names]
        runs += [
            RecordedRun(run.began, run.nanoseconds, [(renumbered[call[0]], *call[1:]) for call in run.calls])
            for run in part.runs
        ]
    return Recorded(first.clock, names, sizes, runs)


def _own_times(run: RecordedRun) -> dict[int, int]:
    """Nanoseconds of each function of a run, without what it calls itself."""
    own: dict[int, int] = {}
    callers: list[int] = []  # function of the call under way, by depth
    for number, depth, _, took in run.calls:
        del callers[depth:]
        own[number] = own.get(number, 0) + took
        if callers:
            own[callers[-1]] -= took
        callers.append(number)
    return {number: max(0, took) for number, took in own.items()}


def _must_be_sound(recorded: Recorded) -> None:
    known = len(recorded.names)
    sound = bool(recorded.runs) and known == len(recorded.bytes) and recorded.clock in ("host", "device")
    for run in recorded.runs:
        deepest = -1
        for number, depth, start, took in run.calls:
            sound = sound and 0 <= number < known and 0 <= depth <= deepest + 1 and took >= 0 and start >= 0
            deepest = depth
    if not sound:
        raise EdgetuneError("what was recorded is no profile")
