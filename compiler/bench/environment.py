"""What around a measurement can spoil it, said as warnings."""

from __future__ import annotations

import time
from pathlib import Path

from targets.cpuinfo import SYS_CPU, cpu_quota, usable_cpus

MAX_CV = 0.05
"""A coefficient of variation above this makes a latency doubtful."""

MAX_OTHER_CPUS = 0.1
"""Other processes using more than this many CPUs' worth of time make a measurement doubtful."""

ENOUGH_RUNS = 100
"""With fewer runs the 99th percentile is a guess from the slowest one."""


MIN_SAMPLE_SECONDS = 0.5
"""Linux counts CPU time in hundredths of a second: over less than this, others' share is noise."""


def environment_warnings(threads: int, others: float) -> list[str]:
    """What is wrong with this machine for a measurement, one sentence each; `others` is what an `OtherLoad` says."""
    warnings = []
    if others > MAX_OTHER_CPUS:
        warnings.append(f"other processes use {others:.2f} CPUs' worth of time")
    governors = scaling_governors()
    if governors:
        warnings.append(f"CPU frequency scaling is on (governor {', '.join(governors)})")
    quota = cpu_quota()
    if quota is not None and quota < threads:
        warnings.append(f"the container's quota of {quota:g} CPUs is below the {threads} threads")
    cpus = len(usable_cpus())
    if cpus < threads:
        warnings.append(f"this process may use {cpus} CPUs, fewer than the {threads} threads")
    return warnings


def series_warnings(runs: int, cv: float) -> list[str]:
    """What is wrong with a series of `runs` durations with the coefficient of variation `cv`."""
    warnings = []
    if cv > MAX_CV:
        # Tenths of a percent mean nothing where the latency varies by more than itself.
        varies = f"{cv:.1%}" if cv < 1 else f"{cv:.0%}"
        warnings.append(f"latency varies by {varies} (coefficient of variation), more than {MAX_CV:.0%}")
    if runs < ENOUGH_RUNS:
        warnings.append(f"the 99th percentile rests on only {runs} runs")
    return warnings


class OtherLoad:
    """How many CPUs' worth of time others (processes, a hypervisor's guests) take where this process may run.

    Counts from its making on: make it when the measurement begins, and ask it when that has ended.
    """

    def __init__(self) -> None:
        self._cpus = usable_cpus()
        self._before = self._used_by_others()
        self._started = time.perf_counter()

    def cpus(self) -> float:
        """The mean since the making; waits where that was too short a time ago to tell."""
        time.sleep(max(0.0, MIN_SAMPLE_SECONDS - (time.perf_counter() - self._started)))
        elapsed = time.perf_counter() - self._started
        return max(0.0, (self._used_by_others() - self._before) / elapsed)

    def _used_by_others(self) -> float:
        """Seconds that the CPUs were busy, less those that this process computed."""
        import psutil

        times = psutil.cpu_times(percpu=True)
        chosen = [times[cpu] for cpu in self._cpus if cpu < len(times)]
        # guest time is contained in user time already
        fields = ("user", "nice", "system", "irq", "softirq", "steal")
        busy = sum(getattr(cpu, field, 0.0) for cpu in chosen for field in fields)
        return float(busy) - time.process_time()


def scaling_governors(root: Path = SYS_CPU) -> list[str]:
    """The frequency governors, other than `performance`, of the CPUs that this process may use."""
    found = set()
    for cpu in usable_cpus():
        try:
            found.add((root / f"cpu{cpu}" / "cpufreq" / "scaling_governor").read_text().strip())
        except OSError:
            continue  # no cpufreq here: virtual machines, most containers
    return sorted(found - {"performance", ""})
