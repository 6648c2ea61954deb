"""How a Winograd convolution is cut into pieces of work: blocks of transformed tiles by tiles of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import tiles

# Bytes a cycle and core, and cycles: fitted to sweeps of (block, wide) over layers of VGG, ResNet and AlexNet on Zen 4.
L3_BYTES = 8.0  # weights, which are streamed, from the third-level cache
MEMORY_BYTES = 4.0
SLAB_BYTES = 3.0  # the transformed input, read in short rows
TRANSFORM = 12.0  # for a vector of the transformed input


def nests(boundary: int, digits: Sequence[int]) -> bool:
    """Whether cutting tiles, numbered by mixed-radix `digits` (images, rows, columns), every `boundary` cuts between
    whole rows or images, or within them evenly. Where it does not, TVM cannot prove that the pieces are disjoint."""
    for digit in reversed(digits):
        if digit % boundary == 0:
            return True
        if boundary % digit:
            return False
        boundary //= digit
    return boundary == 1


@dataclass(frozen=True)
class Layer:
    """Sizes of one convolution: transformed inputs of alpha x alpha, how many of them (images x rows x columns), and
    channels in (of a group) and out."""

    alpha: int
    digits: tuple[int, int, int]
    ci: int
    co: int

    @property
    def count(self) -> int:
        return self.digits[0] * self.digits[1] * self.digits[2]


def chunks(layer: Layer, tile: tiles.RegisterTile, hardware: tiles.Hardware) -> list[tuple[int, int]]:
    """Register tiles of picture tiles that one piece of work may take, each with the best number of channel tiles for
    it; the cheapest first.

    A piece transforms its input once and reads all weights of its channels once, wherever they lie; while its
    transformed input exceeds half the second-level cache, that is read again for every tile of channels.
    """
    l2, l3 = hardware.l2_bytes or 512 * 1024, hardware.l3_bytes or 0
    lanes = hardware.vector_bits // 32
    points = layer.alpha * layer.alpha
    weights = 4.0 * points * layer.ci * tile.channels  # of a tile of channels
    far = L3_BYTES if weights * (layer.co // tile.channels) <= l3 / 2 else MEMORY_BYTES
    found: list[tuple[float, int, int]] = []
    for block in tiles.divisors(layer.count // tile.rows):
        boundary = block * tile.rows
        # One register tile a piece may straddle rows as long as it ends anywhere in them (found by trying).
        if not nests(boundary, layer.digits) and (block > 1 or boundary % layer.digits[-1] == 0):
            continue
        slab = 4.0 * points * block * tile.rows * layer.ci
        kept = 4.0 * points * block * tile.rows * tile.channels
        again = SLAB_BYTES if slab * hardware.cores <= l3 / 2 else MEMORY_BYTES / 2
        costs = []
        for wide in tiles.divisors(layer.co // tile.channels):
            pieces = (layer.count // tile.rows // block) * (layer.co // tile.channels // wide)
            multiply = points * block * tile.rows * layer.ci * tile.channels * wide / (tiles.FMA_PORTS * lanes)
            transform = TRANSFORM * slab / 4.0 / lanes
            read = wide * weights / far
            if slab + kept > l2 / 2:
                read += wide * (slab + 2 * kept) / again
            cost = (multiply + transform + read) * pieces * tiles.waiting(pieces, hardware.cores)
            costs.append((cost, block, wide))
        found.append(min(costs))
    return [(block, wide) for _, block, wide in sorted(found)]
