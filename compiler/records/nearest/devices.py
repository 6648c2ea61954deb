"""How similar two devices are, for schedules of one to be worth trying on the other.

The measure is a distance, in the unit of that of kernels (see `kernels`), of which it is the other half:

    0      the same fingerprint
    0.5    the same CPU or GPU, by name, as another target, with other cores or another TVM
    1      another one that the same code is made for: LLVM's CPU, or a GPU's architecture
    2      another one of the same instructions: as many vector registers of the same width, or a GPU of the same family
           (sm_8x)

and on CPUs a quarter for every doubling of the threads. Others are not similar: their tiles do not fit the registers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import targets

SAME_CODE, SAME_NAME, SAME_FAMILY = 1.0, 0.5, 2.0
THREADS = 0.25


@dataclass(frozen=True)
class Device:
    """What records say of where they were measured: a fingerprint's id, the target's JSON, the CPU's or GPU's name."""

    fingerprint: str
    target: Mapping[str, Any]
    name: str
    threads: int

    def distance(self, other: Device) -> float | None:
        """How far `other` is: see above; None where it is not similar."""
        if self.fingerprint == other.fingerprint:
            return 0.0
        kind = self.target.get("kind")
        if kind != other.target.get("kind"):
            return None
        if kind == "cuda":
            return self._by("arch", _family_of_gpu(self.target), other, _family_of_gpu(other.target))
        found = self._by("mcpu", _instructions(self.target), other, _instructions(other.target))
        if found is None or self.threads < 1 or other.threads < 1:
            return found
        return found + THREADS * abs(math.log2(self.threads / other.threads))

    def _by(self, code: str, family: object, other: Device, its_family: object) -> float | None:
        if family is None or family != its_family:
            return None
        if self.target.get(code) != other.target.get(code):
            return SAME_FAMILY
        return SAME_NAME if self.name == other.name != targets.GENERIC else SAME_CODE


def _family_of_gpu(target: Mapping[str, Any]) -> int | None:
    """The family of a GPU's architecture: 8 of sm_86."""
    number = str(target.get("arch", "")).removeprefix("sm_").rstrip("af")
    return int(number) // 10 if number.isdecimal() else None


def _instructions(target: Mapping[str, Any]) -> tuple[object, ...] | None:
    """What makes code for CPUs alike: the architecture, and the vectors; of a CPU that no target is for, its name."""
    architecture = str(target.get("mtriple", "")).partition("-")[0]
    mcpu = str(target.get("mcpu", ""))
    if not architecture or not mcpu:
        return None
    return architecture, _vectors().get((architecture, mcpu), mcpu)


@lru_cache(maxsize=1)
def _vectors() -> dict[tuple[str, str], tuple[int | None, int | None]]:
    """Width and number of the vector registers, by architecture and LLVM's name of a CPU."""
    found = {}
    for family in targets.families():
        if family.name in ("cuda", "jetson"):  # not asked for, since building one looks for a GPU
            continue
        for name in family.names:
            target = targets.get(name)
            key = str(target.options["mtriple"]).partition("-")[0], str(target.options["mcpu"])
            found[key] = target.hardware.vector_bits, target.hardware.vector_registers
    return found
