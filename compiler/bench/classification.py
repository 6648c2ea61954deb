"""Accuracy on data: how often a package agrees with the reference on the first class, and how often both are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from compiler.bench.classified import Classification
from compiler.bench.compare import Comparison
from compiler.bench.dataset import Dataset
from compiler.bench.engine import cast_inputs
from compiler.bench.tolerance import tolerance
from compiler.bench.verify import Reference, Run
from compiler.errors import UsageError
from compiler.tensors import TensorSpec


def classify(
    run: Run,
    specs: Sequence[TensorSpec],
    reference: Reference,
    dataset: Dataset,
    precision: str,
    progress: Callable[[int], None] = lambda done: None,
) -> Classification:
    """Run both on all of `dataset`, in batches of the size that `specs` have; the last one is filled up.

    The scores are the reference's classifier's output, or else its first. Raises UsageError where that has no classes.
    """
    batch = specs[0].shape[0]
    comparison = Comparison(tolerance(precision), reference.classifier)
    firsts: list[np.ndarray] = []
    counts = np.zeros(4, dtype=np.int64)
    labelled = 0
    for start in range(0, dataset.size, batch):
        items = dataset.take(start, batch)
        size = len(next(iter(items.values())))
        given = cast_inputs(specs, {name: _filled(array, batch) for name, array in items.items()})
        ours, truth = run(given), reference.run(cast_inputs(reference.inputs, given))
        ours, truth = ({name: _cut(array, batch, size) for name, array in side.items()} for side in (ours, truth))
        comparison.add(ours, truth)
        name = reference.classifier or next(iter(truth))
        scores, right = (_scores(side[name], size) for side in (ours, truth))
        firsts.append(scores.argmax(axis=1) == right.argmax(axis=1))
        if dataset.labels is not None:
            labels = dataset.labels[start : start + size]
            known = labels >= 0
            labelled += int(known.sum())
            counts += [
                int(_among(side[known], labels[known], most).sum()) for side in (scores, right) for most in (1, 5)
            ]
        progress(start + size)
    shares = [float(count) / labelled if labelled else None for count in counts]
    return Classification(
        dataset=dataset.name,
        inputs=dataset.size,
        labelled=labelled,
        reference=reference.name,
        agreement=float(np.concatenate(firsts).mean()),
        top1=shares[0],
        top5=shares[1],
        reference_top1=shares[2],
        reference_top5=shares[3],
        rel_l2_err=comparison.rel_l2_err,
        ok=not comparison.problems,
        problems=comparison.problems,
    )


def _filled(array: np.ndarray, batch: int) -> np.ndarray:
    missing = batch - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array


def _cut(array: np.ndarray, batch: int, size: int) -> np.ndarray:
    return array[:size] if array.ndim and len(array) == batch else array


def _scores(array: np.ndarray, size: int) -> np.ndarray:
    if array.ndim < 2 or len(array) != size or array.size // max(1, size) < 2:
        raise UsageError("--dataset is for classifiers: the model's output holds no scores of classes for each item")
    return array.reshape(size, -1).astype(np.float64)


def _among(scores: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """Whether each row's label is among its `most` largest scores."""
    most = min(most, scores.shape[1]) if scores.size else most
    best = np.argsort(-scores, axis=1, kind="stable")[:, :most]
    return np.asarray((best == labels[:, None]).any(axis=1))
