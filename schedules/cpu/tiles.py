"""The arithmetic of a CPU core that register tiles and parallel chunks are chosen by.

A tile of `rows` x `vectors` accumulators is multiplied out by rank-one updates: per step of the reduction it loads
`vectors` weight vectors and `rows` broadcast activations, and issues `rows * vectors` fused multiply-adds. See Goto and
van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), and Low et al., "Analytical Modeling Is Enough
for High-Performance BLIS" (2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

FMA_LATENCY = 4  # cycles, Skylake to Zen 5 and Cortex-A76 on
FMA_PORTS = 2  # fused multiply-adds a cycle
LOAD_PORTS = 2  # vector loads a cycle


class Hardware(Protocol):
    """What a schedule asks of a CPU (`targets.Hardware` has it)."""

    @property
    def cores(self) -> int: ...
    @property
    def vector_bits(self) -> int: ...
    @property
    def fma_bits(self) -> int | None: ...
    @property
    def vector_registers(self) -> int: ...
    @property
    def memory_operands(self) -> bool: ...
    @property
    def l1d_bytes(self) -> int | None: ...
    @property
    def l2_bytes(self) -> int | None: ...
    @property
    def l3_bytes(self) -> int | None: ...


@dataclass(frozen=True)
class RegisterTile:
    """`rows` output pixels by `vectors` vectors of `lanes` channels, all held in registers."""

    rows: int
    vectors: int
    lanes: int

    @property
    def channels(self) -> int:
        return self.vectors * self.lanes


def divisors(n: int) -> list[int]:
    """All divisors of `n`, ascending."""
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)})


def lanes_for(channels: int, hardware: Hardware, bits: int = 32) -> int:
    """The widest vector of numbers of `bits` (float32) that divides `channels`; 1 where none does."""
    lanes = hardware.vector_bits // bits
    while lanes > 1 and channels % lanes:
        lanes //= 2
    return lanes


def efficiency(rows: int, vectors: int, shuffles: int = 0) -> float:
    """Share of the multiply-add throughput that a tile reaches: it may be bound by loads or by latency instead.

    A weight vector counts as two loads: it comes from the second-level cache, an activation from the first. `shuffles`
    are what else the units for multiply-adds are given in a step.
    """
    updates = rows * vectors
    cycles = max((updates + shuffles) / FMA_PORTS, (rows + 2 * vectors) / LOAD_PORTS, FMA_LATENCY)
    return updates / FMA_PORTS / cycles


def registers(rows: int, vectors: int, hardware: Hardware) -> int:
    """Vector registers that a tile needs: accumulators, a row of weights and an activation; without memory operands two
    more for what is being loaded (with one, LLVM was seen to spill on Neoverse N1)."""
    return rows * vectors + vectors + (1 if hardware.memory_operands else 3)


def register_tiles(rows: int, channels: int, hardware: Hardware, bits: int = 32) -> list[RegisterTile]:
    """Tiles of numbers of `bits` that divide `rows` and `channels` evenly and fit the register file, the best by the
    model first."""
    lanes = lanes_for(channels, hardware, bits)
    found = []
    for vectors in divisors(channels // lanes):
        for height in divisors(rows):
            if registers(height, vectors, hardware) <= hardware.vector_registers:
                found.append((height, vectors))

    def score(tile: tuple[int, int]) -> tuple[float, float]:
        height, vectors = tile
        # Where a multiply-add takes an operand from memory, x86, broadcasts of 32 bits are part of that; narrower ones
        # are shuffled by a unit for multiply-adds.
        shuffles = height if bits < 32 and hardware.memory_operands else 0
        # At equal throughput the taller tile wins: it reads every weight, which is farther away, less often.
        return round(efficiency(height, vectors, shuffles), 3), height * vectors / (height + 4 * vectors)

    return [RegisterTile(height, vectors, lanes) for height, vectors in sorted(found, key=score, reverse=True)]


def filled(channels: int, rows: int, hardware: Hardware) -> int:
    """How many channels to compute so that `channels` are had soonest, `rows` pixels at a time.

    As many as that where they fill whole vectors; else a few more may fill them, or divide into a better tile.
    """
    lanes = hardware.vector_bits // 32
    if channels % lanes == 0:
        return channels

    def cost(count: int) -> float:
        width = lanes_for(count, hardware)
        cycles = max(1.0, width * 32 / (hardware.fma_bits or hardware.vector_bits))
        [best, *_] = register_tiles(rows, count, hardware)
        return count / width * cycles / efficiency(best.rows, best.vectors)

    return min(range(channels, channels + lanes + 1), key=lambda count: (round(cost(count), 6), count))


def imbalance(chunks: int, cores: int) -> float:
    """How much longer the busiest core works than an even share, for `chunks` equal pieces of work: 1.0 is even."""
    return -(-chunks // cores) * cores / chunks


def waiting(chunks: int, cores: int) -> float:
    """How much longer a loop of `chunks` equal pieces takes than an even share on undisturbed cores: 1.0 is ideal.

    Cores take pieces from each other, so a core that the machine takes away for a moment holds the loop up by the piece
    in its hands and no more. That is counted as a quarter of a piece.
    """
    return imbalance(chunks, cores) + 0.25 * cores / chunks
