"""One figure for a board's power, from the rails that are measured, or for the part of a machine that computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

WHOLE = {"VDD_IN": "module", "POM_5V_IN": "board", "5V_IN": "module", "VIN": "board", "power_meter": "machine"}
"""Rails that feed all of something; the others are parts of it. Jetsons' guides say what: Nano, TX1 to Orin, Thor."""
GPU = "GPU"
_PARTS = frozenset({"VDDQ_VDD2_1V8AO", "NC"})
"""What an AGX Orin's chips measure besides: memory, which VIN_SYS_5V0 feeds, and nothing."""


class Rail(NamedTuple):
    """A channel's name, and the chip or the interface that measures it."""

    name: str
    sensor: str


class Scope(NamedTuple):
    """Channels whose sum is the power of `covers`."""

    covers: str
    names: tuple[str, ...]


def total_watts(watts: Mapping[str, float]) -> float | None:
    """The whole board's power where a rail is that; else of the processors' packages; else the sum of what there is."""
    for rail in WHOLE:
        if rail in watts:
            return watts[rail]
    packages = [watts[name] for name in watts if _is_package(name)]
    others = [name for name in watts if not name.startswith(("package-", "psys")) and name not in _PARTS]
    parts = packages + [watts[name] for name in others]
    return sum(parts) if parts else None


def scope(rails: Sequence[Rail], gpu: str | None = None) -> Scope | None:
    """What is measured of a computation on the CPU, or on the GPU whose channel is called `gpu`; None for nothing.

    A rail that feeds all of a board, module or machine comes first; then the rails of a Jetson, which together feed its
    module; then the processors' packages with their memory, or the GPU's board.
    """
    names = [rail.name for rail in rails]
    for name, covers in WHOLE.items():
        if name in names:
            return Scope(covers, (name,))
    measured = tuple(rail.name for rail in rails if rail.sensor.startswith("ina") and rail.name not in _PARTS)
    if measured:
        return Scope("module" if len(measured) > 1 else f"rail {measured[0]}", measured)
    if gpu is not None:
        return Scope(GPU, (gpu,)) if gpu in names else None
    packages = tuple(name for name in names if _is_package(name))
    if not packages:
        return None
    return Scope("CPU and memory" if any(" " in name for name in packages) else "CPU", packages)


def _is_package(name: str) -> bool:
    # RAPL's `package-0 dram` lies beside its package, not within; its `core` and `uncore` do.
    return name.startswith("package-") and (" " not in name or name.endswith(" dram"))
