"""The profile of a package: time per kernel, and how near that is to the peak of what it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compiler.bench.engine import cast_inputs
from compiler.bench.peak import Peak
from compiler.packaging.manifest import KernelWork
from compiler.runtime.profiling import Profile
from compiler.runtime.session import Executable


@dataclass(frozen=True)
class KernelRow:
    """One kernel of one run. Rates are None where the work is unknown, shares of the peak also where the peak is.

    `share` is its part of the time of all kernels; `gflops` and `gb_s` are 10^9 operations and bytes a second;
    `of_peak_flops` and `of_peak_bandwidth` say how near they come to the machine's peak: the larger one says what
    bounds the kernel.
    """

    name: str
    calls: int
    milliseconds: float
    share: float
    gflops: float | None
    gb_s: float | None
    of_peak_flops: float | None
    of_peak_bandwidth: float | None


@dataclass(frozen=True)
class ProfileReport:
    """Rows, slowest first; milliseconds that the virtual machine spends between kernels, and of a whole run.

    A profiled run is a little slower than a plain one. `peak` is that of the device that was profiled, or None, and
    then `no_peak` says why. `clock` is whose time the kernels' is: the `host`'s, which waits for each kernel, or the
    `device`'s own.
    """

    rows: tuple[KernelRow, ...]
    machine_ms: float
    total_ms: float
    peak: Peak | None
    no_peak: str | None = None
    clock: str = "host"


@dataclass(frozen=True)
class Profiled:
    """What was measured, call by call, and what it says of each kernel."""

    measured: Profile
    report: ProfileReport


def profile(
    executable: Executable, inputs: Mapping[str, np.ndarray], *, runs: int = 5, peak: Peak | str | None = None
) -> Profiled:
    """Profile `runs` runs where the package runs, whose peak is `peak` (a line: why it is not known).

    Operations come from the manifest; bytes too, or else from the sizes of the tensors.
    """
    measured = executable.profile(cast_inputs(executable.inputs, inputs), runs=runs)
    return Profiled(measured, report(measured, executable.manifest.kernels, peak))


def report(measured: Profile, work: Mapping[str, KernelWork], peak: Peak | str | None) -> ProfileReport:
    """The rows of a profile, given the work per call of each kernel and the peak of the same device."""
    roof = peak if isinstance(peak, Peak) else None
    total = sum(kernel.seconds for kernel in measured.kernels)
    rows = []
    for kernel in measured.kernels:
        known = work.get(kernel.name, KernelWork())
        moved = known.bytes if known.bytes is not None else float(kernel.bytes)
        gflops = _rate(known.flops, kernel.calls, kernel.seconds)
        gb_s = _rate(moved or None, kernel.calls, kernel.seconds)
        rows.append(
            KernelRow(
                name=kernel.name,
                calls=kernel.calls,
                milliseconds=kernel.seconds * 1e3,
                share=kernel.seconds / total if total > 0 else 0.0,
                gflops=gflops,
                gb_s=gb_s,
                of_peak_flops=gflops / roof.gflops if roof is not None and gflops is not None else None,
                of_peak_bandwidth=gb_s / roof.gb_s if roof is not None and gb_s is not None else None,
            )
        )
    return ProfileReport(
        rows=tuple(rows),
        machine_ms=measured.machine_seconds * 1e3,
        total_ms=measured.seconds * 1e3,
        peak=roof,
        no_peak=peak if isinstance(peak, str) else None,
        clock=measured.clock,
    )


def _rate(work: float | None, calls: int, seconds: float) -> float | None:
    return work * calls / seconds / 1e9 if work is not None and seconds > 0 else None
