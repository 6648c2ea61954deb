"""TF32: FP32's range with 10 bits of mantissa behind the leading one, which tensor cores multiply from sm_80 on."""

from __future__ import annotations

import numpy as np


def to_tf32(array: np.ndarray) -> np.ndarray:
    """`array`, float32, rounded to TF32, halves away from zero, as `cvt.rna.tf32.f32` does; still float32.

    What would become infinite, or is no number, stays as it is.
    """
    bits = np.ascontiguousarray(array).view(np.uint32)
    rounded = ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)
    return np.where(np.isfinite(rounded) & np.isfinite(array), rounded, array)
