"""Checking what a model is given before it gets near compiled code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from compiler.errors import UsageError
from compiler.tensors import TensorSpec


def describe(specs: Sequence[TensorSpec]) -> str:
    """`images: float32 1x3x224x224, ids: int64 8`, for messages."""
    return (
        ", ".join(f"{spec.name}: {spec.dtype} {'x'.join(map(str, spec.shape)) or 'scalar'}" for spec in specs)
        or "no inputs"
    )


def check_inputs(specs: Sequence[TensorSpec], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The arrays in the order of `specs`, contiguous. Nothing is converted: another dtype or shape is a mistake.

    Raises UsageError, naming the first mistake and everything that is expected.
    """
    expected = f"expected {describe(specs)}"
    names = {spec.name for spec in specs}
    for name in inputs:
        if name not in names:
            raise UsageError(f"unknown input {name!r}: {expected}")
    arrays = []
    for spec in specs:
        if spec.name not in inputs:
            raise UsageError(f"input {spec.name!r} is missing: {expected}")
        array = inputs[spec.name]
        if not isinstance(array, np.ndarray):
            raise UsageError(f"input {spec.name!r} is a {type(array).__name__}, not a numpy array: {expected}")
        if array.shape != tuple(spec.shape):
            raise UsageError(f"input {spec.name!r} has shape {'x'.join(map(str, array.shape)) or 'scalar'}: {expected}")
        if array.dtype.name != spec.dtype:
            raise UsageError(f"input {spec.name!r} has dtype {array.dtype.name}: {expected}")
        arrays.append(np.ascontiguousarray(array).reshape(array.shape))
    return arrays
