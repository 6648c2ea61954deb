"""Which algorithm computes a convolution: direct, or Winograd with 2x2 outputs a tile (3x3 and 5x5) or 4x4 (3x3), or
direct in FP16 arithmetic where the CPU has that and the factors are FP16.

The choice is made per convolution of the model, in the order in which the model runs them. Without records it follows
the estimate below; with records it is the algorithm whose whole fused kernel was measured to be fastest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .half_arithmetic import relative_cost, run_of


class Algorithm(str, Enum):
    """How a convolution is computed; the value is what manifests and `inspect` show."""

    DIRECT = "direct"
    WINOGRAD_2 = "winograd-2x2"
    WINOGRAD_4 = "winograd-4x4"
    DIRECT_HALF = "direct-fp16"

    @property
    def tile(self) -> int:
        """Outputs along one side of a Winograd tile; 0 for the direct algorithms."""
        return {"winograd-2x2": 2, "winograd-4x4": 4}.get(self.value, 0)


@dataclass(frozen=True)
class Convolution:
    """What the choice depends on; sizes in elements. `half`: FP16 factors on a CPU that calculates in FP16."""

    n: int
    oh: int
    ow: int
    ci: int
    co: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    half: bool = False

    @property
    def flops(self) -> int:
        """Floating-point operations of the direct algorithm (a multiply-add is two)."""
        return 2 * self.n * self.oh * self.ow * self.co * (self.ci // self.groups) * self.kernel[0] * self.kernel[1]


WINOGRAD = {(3, 3): (Algorithm.WINOGRAD_2, Algorithm.WINOGRAD_4), (5, 5): (Algorithm.WINOGRAD_2,)}
"""By kernel size. Larger tiles lose too much precision: see benchmarks/convolution_error.py."""


def candidates(conv: Convolution) -> list[Algorithm]:
    """The algorithms that compute `conv`."""
    fits = (
        conv.kernel in WINOGRAD
        and conv.stride == (1, 1)
        and conv.dilation == (1, 1)
        and conv.ci // conv.groups >= 16
        and conv.co // conv.groups >= 16
        and min(conv.oh, conv.ow) >= 4
    )
    narrow = conv.half and conv.groups == 1 and conv.co % 8 == 0 and run_of(conv.ci) > 0
    return [
        Algorithm.DIRECT,
        *(WINOGRAD[conv.kernel] if fits else ()),
        *((Algorithm.DIRECT_HALF,) if narrow else ()),
    ]


def estimate(conv: Convolution, algorithm: Algorithm) -> float:
    """Relative cost in multiply-adds: the products, the transforms (three vector operations an element) and the
    weights, each read once from memory at the time of about 16 multiply-adds."""
    m = algorithm.tile
    weights = conv.co * (conv.ci // conv.groups)
    if algorithm is Algorithm.DIRECT_HALF:
        return relative_cost(run_of(conv.ci)) * conv.flops / 2 + 8.0 * conv.kernel[0] * conv.kernel[1] * weights
    if not m:
        return conv.flops / 2 + 16.0 * conv.kernel[0] * conv.kernel[1] * weights
    alpha = m + conv.kernel[0] - 1
    tiles = conv.n * -(-conv.oh // m) * -(-conv.ow // m)
    # Few tiles leave too few rows to hide the loading of weights behind: the products then run at a fraction.
    rate = min(1.0, tiles / 12.0)
    products = alpha * alpha * tiles * weights / rate
    transforms = tiles * (conv.ci * alpha * alpha * 8.0 + conv.co * (alpha * alpha + alpha * m) * 5.0)
    return products + transforms + 16.0 * alpha * alpha * weights


def choose(conv: Convolution) -> Algorithm:
    """The cheapest algorithm by `estimate`."""
    return min(candidates(conv), key=lambda a: estimate(conv, a))
