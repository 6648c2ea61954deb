"""What a target is: a named piece of hardware, and the TVM configuration that compiles for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tvm


class TargetError(ValueError):
    """No such target, or none that fits this machine; the message is one line that says what to do."""


@dataclass(frozen=True)
class Hardware:
    """What schedules want to know of the hardware. Sizes in bytes; None where it does not apply or is not known.

    On a CPU, caches are per core but for `l3_bytes`, which is what the cores of one die share. `cores` counts physical
    cores that this process may use (CPU) or streaming multiprocessors (GPU). `fma_bits` is how many of the
    `vector_bits` a multiply-add unit takes a cycle: Zen 4 runs vectors of 512 bits in halves. `memory_operands` is
    whether a multiply-add reads an operand from memory; on Arm it does not, and loads under way need registers.
    """

    cores: int
    vector_bits: int | None = None
    fma_bits: int | None = None
    vector_registers: int | None = None
    l1d_bytes: int | None = None
    l2_bytes: int | None = None
    l3_bytes: int | None = None
    memory_operands: bool = True
    fp16_arithmetic: bool = False
    sm_count: int | None = None
    shared_bytes_per_block: int | None = None
    registers_per_sm: int | None = None
    memory_gb_s: float | None = None


@dataclass(frozen=True)
class Target:
    """A named piece of hardware.

    `options` is the JSON configuration of the TVM target without its host, `host` that of the CPU which launches the
    kernels (None where the target is a CPU). `requires` names the CPU features that compiled code may use, spelled as
    Linux does in /proc/cpuinfo. `needs` is one line: what hardware and software it takes to use this target.
    """

    name: str
    family: str
    description: str
    options: Mapping[str, object]
    requires: frozenset[str]
    hardware: Hardware
    host: Mapping[str, object] | None = None
    needs: str = "nothing but this machine"

    @property
    def kind(self) -> str:
        """The kind of TVM target: `llvm` or `cuda`."""
        return str(self.options["kind"])

    @property
    def cores(self) -> int:
        """How many cores the compiled code is meant for (CPU), or how many multiprocessors the GPU has."""
        return self.hardware.cores

    def config(self) -> dict[str, object]:
        """The whole JSON configuration, host included."""
        config = dict(self.options)
        if self.host is not None:
            config["host"] = dict(self.host)
        return config

    def to_tvm(self) -> tvm.target.Target:
        """The TVM target. Imports TVM (over a second the first time)."""
        import tvm

        return tvm.target.Target(self.config())
