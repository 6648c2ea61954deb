"""What this board is, as the agent tells it (*identity* in docs/agent-protocol.md); the desk draws the conclusions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compiler.runtime.sensors.clocks import governor
from compiler.runtime.sensors.files import read_text
from compiler.runtime.sensors.power_mode import power_mode
from compiler.version import tool_version
from targets import cpuinfo

_MAX_CPUINFO = 1 << 16  # bytes
_BRIEF_CPUINFO = 1 << 13  # some thirty cores of Arm, which may differ; a few of x86, which do not


def identity(gpu: dict[str, Any] | None, root: Path = Path("/")) -> dict[str, Any]:
    """The values by their names; `gpu` is what `find_gpu` has found."""
    caches = asdict(cpuinfo.caches(root=root / "sys/devices/system/cpu"))
    return {
        "schema": 1,
        "agent": "python",
        "version": tool_version(),
        "tvm": importlib.metadata.version("apache-tvm"),
        "machine": cpuinfo.machine(),
        "cpuinfo": _cpuinfo(root),
        "cores": cpuinfo.usable_cores(),
        "memory_bytes": memory_bytes(),
        "glibc": _glibc(),
        "kernel": platform.release(),
        "caches": caches,
        "board": read_text(root / "proc/device-tree/model"),
        "gpu": gpu,
        "power_mode": power_mode(root),
        "governor": governor(root),
    }


def in_brief(told: dict[str, Any]) -> dict[str, Any]:
    """`told`, an identity, with fewer processors in its `cpuinfo`: a tracker tells all its boards at once."""
    return {**told, "cpuinfo": _whole_blocks(told["cpuinfo"], _BRIEF_CPUINFO)}


def memory_bytes() -> int | None:
    """The memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def has_gpu_device(root: Path = Path("/")) -> bool:
    """Whether a driver of NVIDIA's shows a GPU, discrete, of a Jetson or WSL's: only then it is worth asking."""
    names = ("nvhost-gpu", "nvhost-ctrl-gpu", "nvgpu", "dxg")
    # Of several, a container may be given another than the first.
    return any((root / "dev" / name).exists() for name in names) or any((root / "dev").glob("nvidia[0-9]*"))


def find_gpu() -> dict[str, Any] | None:
    """Name, architecture and multiprocessors of the GPU, asked of its driver, which starts CUDA in this process."""
    from targets.gpu import gpu

    found = gpu()
    return {"name": found.name, "arch": found.arch, "sm_count": found.sm_count} if found is not None else None


def _cpuinfo(root: Path) -> str:
    return _whole_blocks(read_text(root / "proc/cpuinfo") or "", _MAX_CPUINFO)


def _whole_blocks(text: str, most: int) -> str:
    """As many of the processors in `text` as fit into `most` bytes."""
    data = text.encode()
    if len(data) <= most:
        return text
    whole, _, _ = data[:most].rpartition(b"\n\n")
    return (whole or data[:most]).decode(errors="replace")


def _glibc() -> str | None:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (OSError, ValueError):
        return None
    return version if name == "glibc" and version else None
