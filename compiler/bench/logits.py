"""Looking through a final softmax, which hides errors: where it saturates, any bug passes.

The logarithm of a probability is its logit less a constant per row, so what a package computed before its softmax can
be compared from its outputs alone, for all classes whose probability did not underflow.
"""

from __future__ import annotations

import numpy as np

_SMALLEST_NORMAL = {"float16": 6.2e-5, "float32": 1.2e-38, "float64": 2.3e-308}


def log_probabilities(ours: np.ndarray, truth: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(ours, reference) logits as flat arrays, less the mean of their row, over the classes that `ours` can show.

    `ours` and `truth` are probabilities of the same shape, `logits` what the reference's softmax was given. None when
    that cannot be compared: no softmax of these logits, or at most one class a row that did not underflow.
    """
    smallest = _SMALLEST_NORMAL.get(ours.dtype.name)
    if smallest is None or logits.size != truth.size or not np.isfinite(logits).all():
        return None
    axes = _softmax_rows(truth.astype(np.float64))
    if axes is None:
        return None
    a = _as_rows(ours.astype(np.float64), axes)
    b = _as_rows(logits.astype(np.float64).reshape(truth.shape), axes)
    b = b - b.max(axis=1, keepdims=True)
    b -= np.log(np.exp(b).sum(axis=1, keepdims=True))
    visible = b > np.log(smallest)
    counts = visible.sum(axis=1, keepdims=True)
    if counts.max() < 2:
        return None
    a = np.log(np.maximum(a, smallest))
    rows = []
    for values in (a, b):
        mean = np.where(visible, values, 0.0).sum(axis=1, keepdims=True) / np.maximum(counts, 1)
        rows.append((values - mean)[visible & (counts > 1)])
    return rows[0], rows[1]


def _softmax_rows(probabilities: np.ndarray) -> int | None:
    """The axis over which they sum to one; 0 stands for all axes but the first (ONNX before opset 13)."""
    if probabilities.ndim >= 2:
        if np.allclose(probabilities.reshape(len(probabilities), -1).sum(axis=1), 1.0, atol=1e-2):
            return 0
        for axis in reversed(range(1, probabilities.ndim)):
            if np.allclose(probabilities.sum(axis=axis), 1.0, atol=1e-2):
                return axis
    return None


def _as_rows(values: np.ndarray, axis: int) -> np.ndarray:
    if axis == 0:
        return values.reshape(len(values), -1)
    return np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
