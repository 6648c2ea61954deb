"""Which algorithm computes a convolution on GPUs: the same on all, so that a model is lowered for all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.graph.algorithms import Algorithm, Convolution, candidates

if TYPE_CHECKING:
    from compiler.graph.passes.legalize import Choose

HALF = "float16"
# What a byte from memory takes, in multiply-adds of the whole GPU: 10 (H100) to 13 (Orin) by their data sheets.
BYTE = 12.0
# What launching two kernels more takes, in the same unit: a few microseconds of a small GPU.
LAUNCHES = 3e7


def chooser(storage: str, tf32: bool = False) -> Choose:
    """The choice for a model whose weights are stored in this type, its factors rounded to TF32 or not: only the direct
    one uses tensor cores."""
    on_tensor_cores = tf32 or storage == HALF
    return (lambda index, conv: Algorithm.DIRECT) if on_tensor_cores else (lambda index, conv: cheapest(conv))


def cheapest(conv: Convolution) -> Algorithm:
    """The cheapest algorithm by `estimate`."""
    able = candidates(conv) if conv.groups == 1 else [Algorithm.DIRECT]
    return min(able, key=lambda algorithm: estimate(conv, algorithm))


def estimate(conv: Convolution, algorithm: Algorithm) -> float:
    """About how long it takes, in multiply-adds: those of the products, and the traffic with memory, FP32.

    Winograd reads and writes transformed pictures and results besides, alpha^2 elements for m^2, and its weights are as
    much larger. Nothing of it is fitted to a GPU.
    """
    pixels, m, r = float(conv.n * conv.oh * conv.ow), algorithm.tile, conv.kernel[0]
    weights = float(conv.ci * conv.co)
    if not m:
        moved = conv.kernel[0] * conv.kernel[1] * weights / conv.groups + pixels * (conv.ci + conv.co)
        return conv.flops / 2 + BYTE * 4 * moved
    points = float((m + r - 1) ** 2)
    tiles = conv.n * -(-conv.oh // m) * -(-conv.ow // m)
    moved = points * weights + pixels * (conv.ci + conv.co) + 2 * points * tiles * (conv.ci + conv.co)
    return points * tiles * weights + BYTE * 4 * moved + LAUNCHES
