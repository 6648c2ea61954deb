"""What a model, a package and a session say of one input or output."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorSpec:
    """Name, static shape and numpy dtype name (`float32`, `float16`, `int64`, ...) of one model input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str
