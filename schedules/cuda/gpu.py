"""What schedules know of a GPU: how much a multiprocessor holds, and how fast its parts are."""

from __future__ import annotations

from dataclasses import dataclass

WARP = 32
STATIC_SHARED = 48 * 1024  # bytes a block may declare; more has to be asked for when it is launched
MAX_THREADS = 1024


@dataclass(frozen=True)
class Gpu:
    """A GPU as the schedules' model of it sees it.

    `sm` is the compute capability as a number (87), `sms` how many multiprocessors there are. `fma` counts FP32
    multiply-adds a cycle and multiprocessor, `warps` and `blocks` how many of each one holds, `registers` 32-bit
    registers and `shared_bytes` shared memory of one. `bytes_per_cycle` is what all of them together read from memory.
    """

    sm: int
    sms: int
    fma: int
    warps: int
    blocks: int
    registers: int
    shared_bytes: int
    bytes_per_cycle: float

    @property
    def block_registers(self) -> int:
        """Registers that one block may use: before Volta's Tegra, half of those there are."""
        return self.registers // 2 if self.sm in (53, 62) else self.registers

    def resident(self, threads: int, registers: int, shared_bytes: int) -> int:
        """Blocks that a multiprocessor holds at once, of `threads` with so many registers each; 0 if none fits."""
        warps = -(-threads // WARP)
        rounded = -(-registers // 8) * 8 * WARP * warps
        limits = [self.blocks, self.warps // warps, self.registers // rounded]
        if shared_bytes:
            limits.append(self.shared_bytes // shared_bytes)
        return 0 if shared_bytes > STATIC_SHARED or threads > MAX_THREADS else min(limits)


# NVIDIA's tables of technical specifications for each compute capability (CUDA C++ Programming Guide, appendix).
# sm: (multiply-adds a cycle, warps, blocks, KB of shared memory) a multiprocessor.
_PER_SM = {
    53: (128, 64, 32, 64),
    62: (128, 64, 32, 64),
    72: (64, 64, 32, 96),
    75: (64, 32, 16, 64),
    80: (64, 64, 32, 164),
    86: (128, 48, 16, 100),
    87: (128, 48, 16, 164),
    89: (128, 48, 24, 100),
    90: (128, 64, 32, 228),
    100: (128, 64, 32, 228),
    110: (128, 48, 24, 228),
    120: (128, 48, 24, 100),
}
_REGISTERS = 65536
_MEMORY_GB_S = 200.0
_CLOCK_GHZ = 1.3  # typical: it only weighs arithmetic against memory


def gpu(sm: int, sms: int, registers: int | None = None, memory_gb_s: float | None = None) -> Gpu:
    """The model of a GPU; one that is not in the table is taken for the newest older one, or the oldest.

    What is not known of it, registers a multiprocessor and memory in GB/s, is taken for a typical value.
    """
    known = max((key for key in _PER_SM if key <= sm), default=min(_PER_SM))
    fma, warps, blocks, shared_kb = _PER_SM[known]
    memory = (memory_gb_s or _MEMORY_GB_S) / _CLOCK_GHZ
    return Gpu(sm, sms, fma, warps, blocks, registers or _REGISTERS, shared_kb * 1024, memory)
