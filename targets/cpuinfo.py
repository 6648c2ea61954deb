"""What Linux says of this machine's CPU: identity, features, cores that this process may use, caches."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SYS_CPU = Path("/sys/devices/system/cpu")
CPUINFO = Path("/proc/cpuinfo")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class CpuInfo:
    """The identity of a CPU. `parts` are the distinct (implementer, part) pairs of an Arm machine, x86's are empty."""

    machine: str
    vendor: str
    family: int
    model: int
    stepping: int
    name: str
    flags: frozenset[str]
    parts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Caches:
    """Sizes in bytes of one core's data caches; None where Linux does not say (containers, some boards)."""

    l1d: int | None
    l2: int | None
    l3: int | None


def machine() -> str:
    """`x86_64`, `aarch64` or what else the kernel calls itself."""
    name = platform.machine().lower()
    return _MACHINES.get(name, name)


def parse_cpuinfo(text: str, machine_name: str) -> CpuInfo:
    """The identity that the text of /proc/cpuinfo gives.

    Missing fields are empty or zero; flags are those that every core has.
    """
    cores = [_fields(block) for block in re.split(r"\n\s*\n", text) if block.strip()]
    first = cores[0] if cores else {}
    flags: frozenset[str] | None = None
    parts: list[tuple[int, int]] = []
    for core in cores:
        listed = core.get("flags", core.get("Features"))
        if listed is not None:
            # A big.LITTLE machine runs code on any core, so only what all of them have may be used.
            flags = frozenset(listed.split()) if flags is None else flags & frozenset(listed.split())
        if "CPU part" in core:
            part = (_number(core.get("CPU implementer")), _number(core["CPU part"]))
            if part not in parts:
                parts.append(part)
    return CpuInfo(
        machine=machine_name,
        vendor=first.get("vendor_id", ""),
        family=_number(first.get("cpu family")),
        model=_number(first.get("model")),
        stepping=_number(first.get("stepping")),
        name=" ".join(first.get("model name", "").split()),
        flags=flags or frozenset(),
        parts=tuple(parts),
    )


@lru_cache(maxsize=1)
def cpu_info() -> CpuInfo:
    """This machine's CPU; on a system without /proc/cpuinfo, an empty one with only `machine` set."""
    try:
        text = CPUINFO.read_text(errors="replace")
    except OSError:
        text = ""
    return parse_cpuinfo(text, machine())


def usable_cores() -> int:
    """Physical cores that this process may use: of its affinity, SMT siblings counted once, at most its CPU quota."""
    cpus = usable_cpus()
    siblings = {_siblings(cpu, SYS_CPU) for cpu in cpus}
    cores = len(siblings)
    quota = cpu_quota()
    if quota is not None:
        cores = min(cores, max(1, int(quota)))
    return max(1, cores)


def usable_cpus() -> list[int]:
    """The logical CPUs that the scheduler lets this process run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cpu_quota(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float | None:
    """CPUs' worth of time that the control groups around this process allow (`docker run --cpus`); None is no limit."""
    limits: list[float] = []
    for base, group in _cgroup_folders(root, membership):
        folder = base / group.lstrip("/")
        while True:
            limit = _quota_in(folder)
            if limit is not None:
                limits.append(limit)
            if folder == base or base not in folder.parents:
                break
            folder = folder.parent
    return min(limits, default=None)


def caches(cpu: int = 0, root: Path = SYS_CPU) -> Caches:
    """The data caches of one logical CPU."""
    found: dict[str, int] = {}
    for folder in sorted((root / f"cpu{cpu}" / "cache").glob("index*")):
        with contextlib.suppress(OSError, ValueError):
            kind = (folder / "type").read_text().strip()
            level = int((folder / "level").read_text())
            if kind in ("Data", "Unified"):
                found[f"l{level}"] = _size((folder / "size").read_text().strip())
    return Caches(l1d=found.get("l1"), l2=found.get("l2"), l3=found.get("l3"))


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def _number(text: str | None) -> int:
    try:
        return int(text or "0", 0)
    except ValueError:
        return 0


def _size(text: str) -> int:
    units = {"K": 1024, "M": 1024**2, "G": 1024**3}
    return int(text[:-1]) * units[text[-1]] if text[-1:] in units else int(text)


def _siblings(cpu: int, root: Path) -> str:
    topology = root / f"cpu{cpu}" / "topology"
    for name in ("core_cpus_list", "thread_siblings_list"):
        with contextlib.suppress(OSError):
            return (topology / name).read_text().strip()
    return str(cpu)


def _cgroup_folders(root: Path, membership: Path) -> Iterable[tuple[Path, str]]:
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            yield root, group
        elif "cpu" in controllers.split(","):
            yield root / "cpu", group
            yield root / controllers, group


def _quota_in(folder: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        quota_us = int((folder / "cpu.cfs_quota_us").read_text())
        period_us = int((folder / "cpu.cfs_period_us").read_text())
        return None if quota_us <= 0 else quota_us / period_us
    return None
