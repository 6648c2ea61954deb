"""A machine, as targets ask about it: this one, or a board as it describes itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from targets import cpuinfo
from targets.cpuinfo import Caches, CpuInfo
from targets.gpu import Gpu, gpu


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
