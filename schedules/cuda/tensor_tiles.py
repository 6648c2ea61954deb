"""The tiles of a matrix product on tensor cores, and the model that ranks them.

A block of `warps_m` x `warps_n` warps computes a tile of the result, each warp `tiles_m` x `tiles_n` tiles of 16 x 16
of it, kept in registers. Both factors' pieces, `depth` of the sum at a time, lie in shared memory in `stages` versions,
so that the next ones arrive while one is multiplied. As in `tiles.py` the sum may be split over `parts` blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import tiles
from .factors import HALF, Factors
from .gpu import STATIC_SHARED, WARP, Gpu
from .intrinsics import SIDE

BASE_REGISTERS = 48  # of addresses, predicates and pieces on their way
STAGED_PADDING = 4  # floats behind a row of the result in shared memory
MOST_REGISTERS = 232  # by the estimate, which may be some too few, of 255
MULTIPLICATIONS = 16  # of `mma.sync` that a multiprocessor needs at once to hide the time that each takes
TENSOR_CORES = 4  # of a multiprocessor, each with warps of its own
START_CYCLES = 1000.0  # until the first pieces have arrived
STEP_CYCLES = 40.0  # of warps that wait for each other
ARRIVAL_CYCLES = 500.0  # of a piece from memory, where nothing is multiplied meanwhile
DEPTHS = (64, 32, 48, 16)
MOST_STAGES = 4


@dataclass(frozen=True)
class TensorTile:
    """See the top of this file."""

    warps_m: int
    warps_n: int
    tiles_m: int
    tiles_n: int
    depth: int
    stages: int
    parts: int = 1
    factors: Factors = HALF

    @property
    def rows(self) -> int:
        return self.warps_m * self.tiles_m * SIDE

    @property
    def columns(self) -> int:
        return self.warps_n * self.tiles_n * SIDE

    @property
    def warps(self) -> int:
        return self.warps_m * self.warps_n

    @property
    def threads(self) -> int:
        return self.warps * WARP

    @property
    def piece_bytes(self) -> int:
        """Shared memory of the pieces in all their versions, which is asked for at the launch."""
        behind, below = self.factors.paddings
        elements = self.rows * (self.depth + behind) + self.depth * (self.columns + below)
        return self.factors.bytes * self.stages * elements

    @property
    def staged_bytes(self) -> int:
        """Shared memory, declared by the kernel, that the result passes through, 16 rows of each warp at a time."""
        return 4 * self.warps_m * SIDE * (self.columns + STAGED_PADDING)

    @property
    def shared_bytes(self) -> int:
        return self.piece_bytes + self.staged_bytes

    @property
    def launchable(self) -> bool:
        """Whether TVM can launch it: it asks for more than 48 KB a block only where the pieces by themselves are."""
        return self.shared_bytes <= STATIC_SHARED or self.piece_bytes >= STATIC_SHARED

    @property
    def registers(self) -> int:
        """About how many a thread needs."""
        of_factors = self.factors.registers * (self.tiles_m + self.tiles_n)
        return BASE_REGISTERS + 8 * self.tiles_m * self.tiles_n + of_factors

    @property
    def carried_registers(self) -> int:
        """How many it needs besides for pieces that pass through them."""
        return -(-(self.rows + self.columns) * self.depth * self.factors.bytes // (4 * self.threads))


# (warps along m, along n, tiles of 16 x 16 of a warp along m, along n)
_SHAPES = (
    (2, 4, 4, 4),
    (4, 2, 4, 4),
    (2, 2, 4, 4),
    (2, 4, 4, 2),
    (4, 2, 2, 2),
    (2, 2, 4, 2),
    (2, 2, 2, 4),
    (2, 4, 2, 2),
    (2, 2, 2, 2),
    (4, 1, 2, 2),
    (1, 4, 2, 2),
    (2, 2, 1, 2),
    (2, 2, 2, 1),
    (2, 2, 1, 1),
    (1, 4, 1, 2),
    (1, 4, 1, 1),
    (1, 2, 1, 1),
)


def tensor_tiles(product: tiles.Product, gpu: Gpu, asynchronous: bool, factors: Factors = HALF) -> list[TensorTile]:
    """The tiles that fit on `gpu`, the one that the model takes for the fastest first.

    `asynchronous`: pieces are copied to shared memory as they are, without passing through registers.
    """
    found: list[tuple[float, int, TensorTile]] = []
    for shape in _SHAPES:
        for depth in depths(product):
            for parts in tiles.parts_of(product, depth):
                steps = -(-product.k // depth) // parts
                for stages in stages_of(steps, asynchronous):
                    tile = TensorTile(*shape, depth, stages, parts, factors)
                    cost = cycles(product, tile, gpu, asynchronous)
                    if cost is not None:
                        found.append((cost, len(found), tile))
    return [tile for _, _, tile in sorted(found)]


def depths(product: tiles.Product) -> list[int]:
    """How much of the sum may be taken at a time: what divides it evenly, or what little exceeds it."""
    even = [depth for depth in DEPTHS if product.k % depth == 0]
    return even or [32 if product.k > SIDE else SIDE]


def stages_of(steps: int, asynchronous: bool) -> list[int]:
    """Versions of the pieces: not more than there are pieces; two where they pass through registers."""
    if not asynchronous:
        return [min(2, steps)]
    return sorted({min(stages, steps) for stages in (2, 3, MOST_STAGES)})


def cycles(product: tiles.Product, tile: TensorTile, gpu: Gpu, asynchronous: bool) -> float | None:
    """About how many cycles the product takes with `tile`; None where no block fits.

    A block takes as long as the slowest of its multiply-adds, its traffic with shared memory and its reads of the
    cache; a multiprocessor with little to do at once waits. The parts of a split sum cost what they do in `tiles.py`.
    """
    registers = tile.registers + (0 if asynchronous else tile.carried_registers)
    resident = gpu.resident(tile.threads, registers, tile.shared_bytes, gpu.block_shared_bytes)
    rate, size = gpu.rate(tile.factors), tile.factors.bytes
    if not resident or not rate or registers > MOST_REGISTERS or not tile.launchable:
        return None
    blocks = product.groups * -(-product.m // tile.rows) * -(-product.n // tile.columns) * tile.parts
    steps = -(-product.k // tile.depth) // tile.parts
    terms = steps * tile.depth
    multiply = tile.rows * tile.columns * terms / rate
    read = tile.warps * (tile.tiles_m + tile.tiles_n) * SIDE
    shared = size * terms * (read + tile.rows + tile.columns) / tiles.SHARED_BYTES_PER_CYCLE
    cache = size * terms * (tile.rows + tile.columns) / tiles.CACHE_BYTES_PER_CYCLE
    slowest = max(multiply, shared, cache)
    one = slowest + tiles.UNHIDDEN * (multiply + shared + cache - slowest)
    out = tile.rows * tile.columns * 4.0 / tiles.CACHE_BYTES_PER_CYCLE
    turns = -(-blocks // gpu.sms)  # blocks that the busiest multiprocessor works off
    together = min(resident, turns)
    at_once = together * tile.warps * tile.tiles_m * tile.tiles_n * 2
    busy = min(1.0, at_once / MULTIPLICATIONS, together * tile.warps / TENSOR_CORES)
    total = turns * (one / busy + out)
    hidden = (tile.stages - 1) * together * one / busy / steps  # how long others are multiplied meanwhile
    waiting = STEP_CYCLES / together + max(0.0, ARRIVAL_CYCLES - hidden)
    total += -(-turns // together) * (START_CYCLES + steps * waiting)
    if tile.parts > 1:
        moved = 8.0 * product.groups * product.m * product.n * tile.parts
        total += tiles.LAUNCH_CYCLES + moved / gpu.bytes_per_cycle
    return total
