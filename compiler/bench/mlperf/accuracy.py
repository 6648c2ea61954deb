"""What the answers of accuracy mode are worth: LoadGen's log of them beside ONNX Runtime in FP32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from compiler.bench.classification import classify
from compiler.bench.classified import Classification
from compiler.bench.dataset import open_dataset
from compiler.bench.mlperf.logs import answers
from compiler.bench.mlperf.order import Data
from compiler.bench.mlperf.samples import Inputs, Samples, batch_of, open_samples
from compiler.bench.verify import onnx_reference, verify
from compiler.errors import EdgetuneError
from compiler.frontend.model import Model
from compiler.packaging.manifest import Accuracy, Manifest


def judge(
    folder: Path, manifest: Manifest, model: Model, data: Data, full: bool, threads: int
) -> tuple[Accuracy | None, Classification | None]:
    """The answers in `folder` to all samples of `data`: a classification of a data set, else an accuracy.

    Raises EdgetuneError where samples were not answered.
    """
    batch = batch_of(manifest)
    found = answers(folder, manifest.outputs, batch)
    samples = open_samples(manifest, data, full)
    missing = [number for number in range(samples.size) if number not in found]
    if missing:
        raise EdgetuneError(f"{len(missing)} of {samples.size} samples have no answer in the log in {folder}")
    logged = _batches([found[number] for number in range(samples.size)], batch)

    def run(_inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return next(logged)  # both ask for one batch after the other, in their order

    reference = onnx_reference(model, threads)
    if data.dataset is None:
        inputs = _Batches(samples, batch)
        return verify(run, manifest.inputs, reference, inputs, manifest.precision).accuracy, None
    dataset = open_dataset(data.dataset, manifest.inputs, data.images)
    return None, classify(run, manifest.inputs, reference, dataset, manifest.precision)


def _batches(outputs: Sequence[Inputs], batch: int) -> Iterator[Inputs]:
    for start in range(0, len(outputs), batch):
        yield _joined(outputs[start : start + batch], batch)


def _joined(parts: Sequence[Inputs], batch: int) -> Inputs:
    """One batch of all parts; where some are missing, the last one is there several times."""
    if batch == 1:
        return dict(parts[0])
    filled = [*parts, *[parts[-1]] * (batch - len(parts))]
    return {name: np.concatenate([part[name] for part in filled]) for name in filled[0]}


class _Batches(Sequence[Inputs]):
    """The samples in batches, each made when it is asked for."""

    def __init__(self, samples: Samples, batch: int) -> None:
        self._samples = samples
        self._batch = batch

    def __len__(self) -> int:
        return -(-self._samples.size // self._batch)

    def __getitem__(self, place: int) -> Inputs:  # type: ignore[override]  # nobody slices it
        if not 0 <= place < len(self):
            raise IndexError(place)
        numbers = range(place * self._batch, min(self._samples.size, (place + 1) * self._batch))
        return _joined([self._samples.take(number) for number in numbers], self._batch)
