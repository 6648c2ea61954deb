"""The tiles of a matrix product on a GPU, and the model that ranks them.

A block of threads computes `rows` x `columns` of the result, `depth` of the sum at a time: both factors' pieces lie in
shared memory, and every thread keeps `per_row` x `per_column` sums in registers. Where the result is too small to give
every multiprocessor a block, the sum is split over `parts` blocks, and a second kernel adds them up.
"""

from __future__ import annotations

from dataclasses import dataclass

from .gpu import WARP, Gpu

LATENCY_WARPS = 8  # warps that a multiprocessor needs to keep its units busy, with independent sums in each
BASE_REGISTERS = 40  # of addresses, predicates and the fragments on their way
SHARED_BYTES_PER_CYCLE = 128.0
CACHE_BYTES_PER_CYCLE = 32.0  # from the second-level cache, one multiprocessor
UNHIDDEN = 0.15  # of what is not the slowest: the units wait for each other now and then
LAUNCH_CYCLES = 4000.0  # of a second kernel
MAX_PARTS = 32
MIN_DEPTH_PER_PART = 64


@dataclass(frozen=True)
class Product:
    """`groups` products of [m, k] x [k, n]; `depth_unit` divides k where neighbours in k are neighbours in memory."""

    groups: int
    m: int
    n: int
    k: int
    depth_unit: int


@dataclass(frozen=True)
class Tile:
    """See the top of this file. `threads_m` x `threads_n` threads."""

    threads_m: int
    threads_n: int
    per_row: int
    per_column: int
    depth: int
    parts: int = 1

    @property
    def rows(self) -> int:
        return self.threads_m * self.per_row

    @property
    def columns(self) -> int:
        return self.threads_n * self.per_column

    @property
    def threads(self) -> int:
        return self.threads_m * self.threads_n

    @property
    def shared_bytes(self) -> int:
        """Of both pieces; rows are padded by up to 4 elements."""
        return 4 * self.depth * (self.rows + 4 + self.columns + 4)

    @property
    def registers(self) -> int:
        """About how many a thread needs."""
        return BASE_REGISTERS + self.per_row * self.per_column + 2 * (self.per_row + self.per_column)


# (threads along m, threads along n, sums along m, sums along n) of a thread
_SHAPES = (
    (16, 16, 8, 8),
    (16, 8, 8, 8),
    (8, 16, 8, 8),
    (8, 8, 8, 8),
    (16, 16, 4, 4),
    (16, 8, 4, 8),
    (8, 16, 8, 4),
    (8, 16, 4, 4),
    (16, 8, 4, 4),
    (8, 8, 4, 4),
    (4, 16, 4, 4),
    (8, 32, 2, 4),
    (8, 16, 2, 4),
    (4, 32, 2, 4),
    (16, 4, 4, 4),
    (32, 4, 4, 2),
    (32, 2, 4, 4),
)


def depth_for(product: Product) -> int:
    """How much of the sum is taken at a time: what divides it evenly where something does."""
    for depth in (16, 8):
        if product.k % depth == 0 and product.depth_unit % 4 == 0:
            return depth
    return 16 if product.k > 64 else 8


def tiles(product: Product, gpu: Gpu) -> list[Tile]:
    """The tiles that fit on `gpu`, the one that the model takes for the fastest first."""
    depth = depth_for(product)
    found: list[tuple[float, int, Tile]] = []
    for shape in _SHAPES:
        for parts in parts_of(product, depth):
            tile = Tile(*shape, depth, parts)
            cost = cycles(product, tile, gpu)
            if cost is not None:
                found.append((cost, len(found), tile))
    return [tile for _, _, tile in sorted(found)]


def parts_of(product: Product, depth: int) -> list[int]:
    """Ways to split the sum so that every part has the same number of whole steps."""
    steps = -(-product.k // depth)
    found = [1]
    for parts in (2, 3, 4, 6, 8, 9, 12, 16, 24, 32):
        if parts <= MAX_PARTS and steps % parts == 0 and steps // parts * depth >= MIN_DEPTH_PER_PART:
            found.append(parts)
    return found


def cycles(product: Product, tile: Tile, gpu: Gpu) -> float | None:
    """About how many cycles the product takes with `tile`; None where no block fits.

    A block takes as long as the slowest of its multiply-adds, its reads of shared memory and its reads of the cache; a
    multiprocessor with too few warps waits. The parts of a split sum are written, read again and cost a launch.
    """
    resident = gpu.resident(tile.threads, tile.registers, tile.shared_bytes)
    if not resident:
        return None
    blocks = product.groups * -(-product.m // tile.rows) * -(-product.n // tile.columns) * tile.parts
    steps = -(-product.k // tile.depth) * tile.depth / tile.parts
    multiply = tile.rows * tile.columns * steps / gpu.fma
    shared = tile.threads * (tile.per_row + tile.per_column) * 4 * steps / SHARED_BYTES_PER_CYCLE
    cache = (tile.rows + tile.columns) * 4 * steps / CACHE_BYTES_PER_CYCLE
    slowest = max(multiply, shared, cache)
    one = slowest + UNHIDDEN * (multiply + shared + cache - slowest)
    turns = -(-blocks // gpu.sms)  # blocks that the busiest multiprocessor works off
    together = min(resident, turns)
    busy = min(1.0, together * tile.threads / WARP / LATENCY_WARPS)
    total = turns * one / busy
    total += 600.0 + 30.0 * steps / tile.depth / together
    if tile.parts > 1:
        total += LAUNCH_CYCLES + 8.0 * product.groups * product.m * product.n * tile.parts / gpu.bytes_per_cycle
    return total
