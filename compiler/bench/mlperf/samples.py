"""The query sample library: what LoadGen's samples are, by their numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compiler.bench.dataset import open_dataset
from compiler.bench.mlperf.order import Data
from compiler.bench.probes import probe_inputs
from compiler.errors import EdgetuneError
from compiler.packaging.manifest import Manifest, tensor_bytes
from compiler.tensors import TensorSpec

SHORT, FULL = 64, 1024
"""Samples in memory, where there are so many: 1024 is what MLPerf's rules ask for of image classification."""
_MOST_BYTES = 1 << 30

Inputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Samples:
    """`size` samples, of which `resident` are in memory at a time. `take(number)` is one, a batch of one, by name."""

    name: str
    size: int
    resident: int
    take: Callable[[int], Inputs]


def batch_of(manifest: Manifest) -> int:
    """How many samples a package computes at a time. Raises EdgetuneError where its tensors cannot be divided so."""
    if manifest.batch is None or manifest.batch == 1:
        return 1
    for tensor in (*manifest.inputs, *manifest.outputs):
        if not tensor.shape or tensor.shape[0] != manifest.batch:
            raise EdgetuneError(
                f"MLPerf's load is made of single samples, and {tensor.name} of this package has no batch that could "
                "be divided: compile the model with --batch 1"
            )
    return manifest.batch


def sample_specs(tensors: Sequence[TensorSpec], batch: int) -> list[TensorSpec]:
    """The tensors of one sample of a package that computes `batch` at a time."""
    if batch == 1:
        return list(tensors)
    return [replace(tensor, shape=(1, *tensor.shape[1:])) for tensor in tensors]


def open_samples(manifest: Manifest, data: Data, full: bool) -> Samples:
    """The library for a package; there are as many samples of random inputs as are in memory.

    Raises what `open_dataset` and `batch_of` raise.
    """
    batch = batch_of(manifest)
    specs = sample_specs(manifest.inputs, batch)
    wanted = FULL if full else SHORT
    fitting = _MOST_BYTES // max(1, sum(map(tensor_bytes, specs)))
    # Whole batches, where there are so many: they are put together before anything is timed.
    most = max(1, min(math.ceil(wanted / batch), fitting // batch)) * batch
    if data.dataset is None:
        return Samples(
            f"random inputs, seed {data.seed}",
            most,
            most,
            lambda number: probe_inputs(specs, 1, data.seed + number)[0],
        )
    dataset = open_dataset(data.dataset, specs, data.images)
    resident = min(most, dataset.size)
    if resident > batch:
        resident -= resident % batch
    return Samples(dataset.name, dataset.size, resident, lambda number: dataset.take(number, 1))
