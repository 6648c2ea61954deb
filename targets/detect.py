"""Which target this machine is."""

from __future__ import annotations

from targets.cpuinfo import CpuInfo, cpu_info
from targets.target import TargetError


def native_name() -> str:
    """The name of the most specific target that this machine's CPU can execute.

    Raises TargetError on a machine that is neither x86-64 nor 64-bit Arm, or that does not say what it can do.
    """
    return name_for(cpu_info())


def name_for(info: CpuInfo) -> str:
    """The name of the most specific target that the CPU `info` describes can execute.

    The kernel's vendor, family and model are asked first, since a hypervisor may hide the marketing name and some
    harmless features, which is enough to mislead archspec. What they say only counts when the CPU has each
    feature that code for that target may use; the general targets (x86-avx512, x86-avx2, ...) catch the rest.
    """
    if info.machine == "x86_64":
        from targets import x86

        candidates = x86.candidates(info)
        requires = x86.REQUIRES
    elif info.machine == "aarch64":
        from targets import arm

        candidates = arm.candidates(info)
        requires = arm.REQUIRES
    else:
        raise TargetError(
            f"this machine is {info.machine or 'of an unknown kind'}, which no target describes; name one with --target"
        )
    for name in candidates:
        if requires[name] <= info.flags:
            return name
    raise TargetError(
        "the features of this machine's CPU cannot be read from /proc/cpuinfo, so `native` is unknown; "
        "name a target with --target"
    )


def cpu_name(info: CpuInfo | None = None) -> str:
    """A CPU (default: this machine's) for a reader: its marketing name, and the numbers that tell it apart where that
    does not."""
    info = info if info is not None else cpu_info()
    if info.machine == "x86_64":
        return f"{info.name or info.vendor or 'unknown CPU'} (family {info.family} model {info.model})"
    from targets import arm

    return arm.cpu_name(info)
