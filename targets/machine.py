"""A machine, as targets ask about it: this one, or a board as it describes itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from targets import cpuinfo
from targets.cpuinfo import Caches, CpuInfo
from targets.gpu import Gpu, gpu
from targets.target import Hardware


@dataclass(frozen=True)
class Machine:
    """What targets want to know of a machine. `cores` counts physical cores that may be used; `find_gpu` asks for the
    GPU, which takes a driver's start on this machine; `name` is what sentences call it."""

    cpu: CpuInfo
    cores: int
    caches: Caches
    find_gpu: Callable[[], Gpu | None]
    name: str = "this machine"


def this_machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(cpuinfo.cpu_info(), cpuinfo.usable_cores(), cpuinfo.caches(), gpu)


def hardware_of(machine: Machine, usual: Hardware, cores: int | None) -> Hardware:
    """The hardware of a machine whose CPU is one of a kind: the kind's `usual`, with the caches that are known and the
    cores of this one, or `cores` of them."""
    caches = machine.caches
    return replace(
        usual,
        cores=cores or machine.cores,
        l1d_bytes=caches.l1d or usual.l1d_bytes,
        l2_bytes=caches.l2 or usual.l2_bytes,
        l3_bytes=caches.l3 or usual.l3_bytes,
    )
