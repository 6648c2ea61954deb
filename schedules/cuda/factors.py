"""What the factors of products on tensor cores are: FP16, or FP32 whose mantissas are rounded to TF32's 10 bits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Factors:
    """A type of factors, as pieces in shared memory and tiles of 16 x 16 in registers have it.

    `name` begins those of the intrinsics. `dtype` is the pieces' and `bytes` those of an element, `scopes` those of the
    first's and the second's tiles, `paddings` how many elements lie behind a row of a piece of each, so that what lanes
    read at once lies in different banks, `registers` about how many 32-bit registers of a thread a tile takes.
    """

    name: str
    dtype: str
    bytes: int
    scopes: tuple[str, str]
    paddings: tuple[int, int]
    registers: int

    def intrinsic(self, step: str) -> str:
        """The name of the tensor intrinsic for `step`: `load_first`, `load_second` or `multiply`."""
        return f"edgetune.tile.{self.name}{step}"


HALF = Factors("", "float16", 2, ("wmma.matrix_a", "wmma.matrix_b"), (8, 8), 4)
# TVM has no tiles of FP32 but sums. The first factor's are read by rows of 16 bytes, the second's by columns. Of the
# eight registers of a tile about six are needed at once: NVRTC gives kernels 189 to 228 where this makes it 224.
TF32 = Factors("tf32.", "float32", 4, ("wmma.accumulator", "wmma.accumulator"), (4, 8), 6)
ALL = (HALF, TF32)
