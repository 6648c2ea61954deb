"""What around a measurement can spoil it, said as warnings."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from targets.cpuinfo import SYS_CPU, cpu_quota, usable_cpus

MAX_CV = 0.05
"""A coefficient of variation above this makes a latency doubtful."""

MAX_OTHER_CPUS = 0.1
"""Other processes using more than this many CPUs' worth of time make a measurement doubtful."""

ENOUGH_RUNS = 100
"""With fewer runs the 99th percentile is a guess from the slowest one."""


def environment_warnings(threads: int, sample_seconds: float = 0.5) -> list[str]:
    """What is wrong with this machine right now, one sentence each.

    Takes `sample_seconds`; call it before measuring, not meanwhile.
    """
    warnings = []
    others = other_load(sample_seconds)
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
        warnings.append(f"latency varies by {cv:.1%} (coefficient of variation), more than {MAX_CV:.0%}")
    if runs < ENOUGH_RUNS:
        warnings.append(f"the 99th percentile rests on only {runs} runs")
    return warnings


def other_load(sample_seconds: float) -> float:
    """How many CPUs' worth of time others (processes, a hypervisor's guests) take where this process may run."""
    import psutil

    cpus = usable_cpus()

    def busy() -> float:
        times = psutil.cpu_times(percpu=True)
        chosen = [times[cpu] for cpu in cpus if cpu < len(times)]
        # guest time is contained in user time already
        fields = ("user", "nice", "system", "irq", "softirq", "steal")
        return float(sum(getattr(cpu, field, 0.0) for cpu in chosen for field in fields))

    before, own, started = busy(), time.process_time(), time.perf_counter()
    time.sleep(sample_seconds)
    elapsed = time.perf_counter() - started
    return max(0.0, (busy() - before - (time.process_time() - own)) / elapsed)


def scaling_governors(root: Path = SYS_CPU) -> list[str]:
    """The frequency governors, other than `performance`, of the CPUs that this process may use."""
    found = set()
    for cpu in usable_cpus():
        try:
            found.add((root / f"cpu{cpu}" / "cpufreq" / "scaling_governor").read_text().strip())
        except OSError:
            continue  # no cpufreq here: virtual machines, most containers
    return sorted(found - {"performance", ""})


def machine_facts() -> dict[str, str]:
    """What a reader of a result wants to know of the machine, besides the CPU."""
    load: Sequence[float] = os.getloadavg() if hasattr(os, "getloadavg") else ()
    quota = cpu_quota()
    return {
        "cpus": str(len(usable_cpus())),
        "load average": ", ".join(f"{value:.2f}" for value in load) or "unknown",
        "governor": ", ".join(scaling_governors()) or "performance or not visible",
        "CPU quota": "none" if quota is None else f"{quota:g}",
    }
