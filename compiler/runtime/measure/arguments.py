"""What a candidate is measured on: random arguments, and many copies of the weights to take turns."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np

Argument = tuple[tuple[int, ...], str]
"""Shape and dtype of a parameter."""

COLD_BYTES = 256 << 20
"""Weights are rotated through copies of this many bytes in all: in a model each kernel finds its own evicted by the
others', and a kernel measured with warm weights would be chosen for a time that the model never sees. A multiple of
what a last cache holds: with 64 MB, a dense layer of 67 MB was measured at three times the bandwidth of the memory."""
MAX_COPIES = 64
ALIGNMENT = 64  # bytes; what generated code expects of a tensor's address
_PATTERN = 1 << 20  # random values that the copies repeat: drawing 256 MB of them would take a second


class ArgumentSets:
    """Makes the arguments of one candidate after another.

    Every candidate packs its weights in a layout, and so in shapes, of its own. Their copies are views into memory that
    is filled once; what is not a weight is kept as long as the next candidate takes the same.
    """

    def __init__(self, device: str = "cpu") -> None:
        """`device` is TVM's name of where the tensors are."""
        self._device = device
        self._weights: dict[str, np.ndarray] = {}  # by dtype
        self._others: dict[tuple[int, Argument], Any] = {}  # by position

    def of(
        self, arguments: Sequence[Argument], weights: Sequence[int], cold_bytes: int | None = None
    ) -> list[list[Any]]:
        """Lists of tensors, each a call's arguments; they share all but the `weights`, positions in `arguments`.

        There are as many as it takes for the weights of all to fill `cold_bytes` (default: COLD_BYTES), and at most
        MAX_COPIES.
        """
        import tvm

        cold_bytes = COLD_BYTES if cold_bytes is None else cold_bytes
        device = tvm.device(self._device)

        arguments = [(tuple(shape), dtype) for shape, dtype in arguments]
        random = np.random.default_rng(0)
        kept, self._others = self._others, {}
        for place in enumerate(arguments):
            if place[0] not in weights:
                self._others[place] = kept.get(place)
        del kept  # before more is made: it may be much
        for place, tensor in self._others.items():
            if tensor is None:
                self._others[place] = tvm.runtime.tensor(_filled(random, *place[1]), device=device)
        shared = {position: tensor for (position, _), tensor in self._others.items()}

        sizes = {p: _size(arguments[p]) for p in weights}
        size = sum(sizes.values())
        copies = min(MAX_COPIES, -(-cold_bytes // size)) if size else 1
        sets = [dict(shared) for _ in range(copies)]
        dtypes = {arguments[p][1] for p in weights}
        for dtype in [d for d in self._weights if d not in dtypes]:
            del self._weights[dtype]
        for dtype in dtypes:
            places = [p for p in weights if arguments[p][1] == dtype]
            stride = sum(-(-sizes[p] // ALIGNMENT) * ALIGNMENT for p in places)
            memory = self._memory(dtype, stride * copies, cold_bytes)
            for copy, made in enumerate(sets):
                offset = stride * copy
                for p in places:
                    first, count = offset // memory.itemsize, sizes[p] // memory.itemsize
                    values = memory[first : first + count].reshape(arguments[p][0])
                    at_hand = self._device == "cpu"
                    made[p] = tvm.runtime.from_dlpack(values) if at_hand else tvm.runtime.tensor(values, device=device)
                    offset += -(-sizes[p] // ALIGNMENT) * ALIGNMENT
        return [[made[p] for p in range(len(arguments))] for made in sets]

    def _memory(self, dtype: str, size: int, cold_bytes: int) -> np.ndarray:
        """At least `size` bytes of random values of `dtype`, at an aligned address."""
        known = self._weights.pop(dtype, None)
        if known is not None and size <= known.nbytes <= 2 * max(size, cold_bytes):
            self._weights[dtype] = known
            return known
        del known  # before more is made
        pattern = random_array(np.random.default_rng(0), (_PATTERN,), dtype)
        # An eighth more than is wanted now: another task's copies do not end at the same byte.
        count = -(-size * 9 // (8 * pattern.itemsize))
        # Not of numpy, which asks for huge pages: a model's weights lie on common ones. Aligned, as whole pages are.
        space = mmap.mmap(-1, count * pattern.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        made = np.frombuffer(space, pattern.dtype)
        for first in range(0, count, _PATTERN):
            made[first : first + _PATTERN] = pattern[: count - first]
        self._weights[dtype] = made
        return made


def random_array(random: np.random.Generator, shape: tuple[int, ...], dtype: str, positive: bool = False) -> np.ndarray:
    """Values such as activations and weights have: normal for floating point (between 0 and 1 if they are to be
    `positive`), 0 for integers (indices in bounds)."""
    if np.dtype(dtype).kind == "f":
        if positive:
            return random.uniform(0.1, 1.0, shape).astype(dtype)
        return random.standard_normal(shape, dtype="float32").astype(dtype)
    if np.dtype(dtype).kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    return np.zeros(shape, dtype)


def _filled(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Values as `random_array` has; activations of many pictures repeat some: drawing them all would take seconds."""
    if math.prod(shape) <= _PATTERN:
        return random_array(random, shape, dtype)
    return np.resize(random_array(random, (_PATTERN,), dtype), shape)


def _size(argument: Argument) -> int:
    shape, dtype = argument
    return math.prod(shape) * np.dtype(dtype).itemsize
