"""What schedules know of a GPU: how much a multiprocessor holds, and how fast its parts are."""

from __future__ import annotations

from dataclasses import dataclass

from .factors import HALF, Factors

WARP = 32
STATIC_SHARED = 48 * 1024  # bytes a block may declare; more has to be asked for when it is launched
MAX_THREADS = 1024


@dataclass(frozen=True)
class Gpu:
    """A GPU as the schedules' model of it sees it.

    `sm` is the compute capability as a number (87), `sms` how many multiprocessors there are. `fma` counts FP32
    multiply-adds a cycle and multiprocessor, `warps` and `blocks` how many of each one holds, `registers` 32-bit
    registers and `shared_bytes` shared memory of one. `bytes_per_cycle` is what all of them together read from memory.
    `tensor_fma` counts multiply-adds of FP16 into FP32 on tensor cores a cycle and multiprocessor, 0 where there are
    none that the schedules use.
    """

    sm: int
    sms: int
    fma: int
    warps: int
    blocks: int
    registers: int
    shared_bytes: int
    bytes_per_cycle: float
    tensor_fma: int = 0

    @property
    def asynchronous(self) -> bool:
        """Whether it copies to shared memory without passing through registers (cp.async)."""
        return self.sm >= 80

    def rate(self, factors: Factors) -> int:
        """Multiply-adds of `factors` into FP32 on tensor cores a cycle and multiprocessor; 0 where it has none."""
        if factors is HALF:
            return self.tensor_fma
        return self.tensor_fma // 2 if self.sm >= 80 else 0  # of TF32, by all data sheets half of FP16's

    @property
    def half_pairs(self) -> bool:
        """Whether FP16 in pairs is what multiplies fastest of what the schedules use: twice FP32's rate."""
        return self.sm in (53, 62, 72)

    @property
    def block_shared_bytes(self) -> int:
        """Shared memory that one block may ask for when it is launched: all but 1 KB from sm_80 on."""
        if self.sm >= 80:
            return self.shared_bytes - 1024
        return self.shared_bytes if self.sm >= 70 else STATIC_SHARED

    @property
    def block_registers(self) -> int:
        """Registers that one block may use: before Volta's Tegra, half of those there are."""
        return self.registers // 2 if self.sm in (53, 62) else self.registers

    def resident(self, threads: int, registers: int, shared_bytes: int, most_shared: int = STATIC_SHARED) -> int:
        """Blocks that a multiprocessor holds at once, of `threads` with so many registers each; 0 if none fits.

        A block may have `most_shared` bytes of shared memory.
        """
        warps = -(-threads // WARP)
        rounded = -(-registers // 8) * 8 * WARP * warps
        limits = [self.blocks, self.warps // warps, self.registers // rounded]
        if shared_bytes:
            reserved = 1024 if self.sm >= 80 else 0  # of every block, by the system
            limits.append(self.shared_bytes // (shared_bytes + reserved))
        return 0 if shared_bytes > most_shared or threads > MAX_THREADS else min(limits)


# NVIDIA's tables of technical specifications for each compute capability (CUDA C++ Programming Guide, appendix).
# sm: (multiply-adds a cycle, warps, blocks, KB of shared memory, multiply-adds a cycle of tensor cores) a
# multiprocessor. The last are the data sheets' FP16 with FP32 sums; from sm_90 on `mma.sync` does not reach them, and
# sm_72 lacks `ldmatrix`, so that its tensor cores are left out.
_PER_SM = {
    53: (128, 64, 32, 64, 0),
    62: (128, 64, 32, 64, 0),
    72: (64, 64, 32, 96, 0),
    75: (64, 32, 16, 64, 512),
    80: (64, 64, 32, 164, 1024),
    86: (128, 48, 16, 100, 256),
    87: (128, 48, 16, 164, 1024),
    89: (128, 48, 24, 100, 256),
    90: (128, 64, 32, 228, 1280),
    100: (128, 64, 32, 228, 1280),
    110: (128, 48, 24, 228, 1024),
    120: (128, 48, 24, 100, 256),
}
_REGISTERS = 65536
_MEMORY_GB_S = 200.0
_CLOCK_GHZ = 1.3  # typical: it only weighs arithmetic against memory


def gpu(sm: int, sms: int, registers: int | None = None, memory_gb_s: float | None = None) -> Gpu:
    """The model of a GPU; one that is not in the table is taken for the newest older one, or the oldest.

    What is not known of it, registers a multiprocessor and memory in GB/s, is taken for a typical value.
    """
    known = max((key for key in _PER_SM if key <= sm), default=min(_PER_SM))
    fma, warps, blocks, shared_kb, tensor_fma = _PER_SM[known]
    memory = (memory_gb_s or _MEMORY_GB_S) / _CLOCK_GHZ
    return Gpu(sm, sms, fma, warps, blocks, registers or _REGISTERS, shared_kb * 1024, memory, tensor_fma)
