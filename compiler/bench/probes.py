"""Inputs that tell a right program from a wrong one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compiler.tensors import TensorSpec

PATCHES = 4
NOISE = 0.3


def probe_inputs(specs: Sequence[TensorSpec], count: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """`count` seeded sets of inputs: what the front end draws, with images made of 4 x 4 patches under the noise.

    A deep network averages white noise to nearly the same outputs for every image (1 to 5 % apart, for the built-in
    models); images with structure, as photographs have it, move its outputs ten times as much.
    """
    from compiler.frontend import random_inputs

    return [
        {spec.name: _structured(spec, array, seed + number) for spec, array in zip(specs, drawn.values(), strict=True)}
        for number in range(count)
        for drawn in [random_inputs(specs, seed + number)]
    ]


def _structured(spec: TensorSpec, array: np.ndarray, seed: int) -> np.ndarray:
    """The array with patches, if it is float and of the shape of images; otherwise as it is."""
    if array.ndim != 4 or not spec.dtype.startswith("float") or sorted(array.shape[1:])[1] < 2 * PATCHES:
        return array
    # height and width, whichever layout: the two largest but the batch
    channel = 1 + int(np.argmin(array.shape[1:]))
    coarse_shape = [size if axis in (0, channel) else PATCHES for axis, size in enumerate(array.shape)]
    patches = np.random.default_rng([seed, 1]).standard_normal(coarse_shape, dtype=np.float32)
    for axis, size in enumerate(array.shape):
        if axis not in (0, channel):
            patches = np.take(patches, np.arange(size) * PATCHES // size, axis=axis)
    return (patches + NOISE * array.astype(np.float32)).astype(array.dtype)
