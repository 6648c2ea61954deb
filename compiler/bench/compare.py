"""Comparing outputs with reference outputs, one set of inputs after the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from compiler.bench.logits import log_probabilities
from compiler.bench.tolerance import Tolerance

NO_SPREAD = (
    "the reference outputs hardly depend on the inputs (all equal, or a saturated softmax), so agreement proves nothing"
)


class Comparison:
    """Grows with `add`; errors are the worst so far, None while there are none. `problems` is the verdict."""

    def __init__(self, tolerance: Tolerance, classifier: str | None = None, *, constant: bool = False) -> None:
        """`classifier` names the output whose rows are class scores: (images, classes, ...).

        `constant` says that there are no inputs: outputs that do not move are then all that there is to compare.
        """
        self.max_abs_err: float | None = None
        self.rel_l2_err: float | None = None
        self.inputs = 0
        self._tolerance = tolerance
        self._classifier = classifier
        self._rows = self._agreeing = 0
        self._constant = constant
        self._incomparable = False
        self._problems: dict[str, None] = {}
        self._errors: dict[str, float] = {}
        self._spread = _Spread()

    @property
    def top1_agreement(self) -> float | None:
        """The share of rows with the same largest class; None without a classifier's output."""
        return self._agreeing / self._rows if self._rows else None

    @property
    def problems(self) -> list[str]:
        """What is not good enough, in sentences; empty when all is well."""
        if not self.inputs:
            return ["no inputs were compared"]
        return list(self._problems) or ([] if self._constant else self._blindness())

    @property
    def comparable(self) -> bool:
        """Whether the reference could be compared with: where it holds NaN, it is no answer to hold others to."""
        return not self._incomparable

    def _blindness(self) -> list[str]:
        """Whether something that ignores its inputs could have passed: its error would be what the reference moves."""
        spreads = self._spread.values()
        moving = {name: spread for name, spread in spreads.items() if spread > self._tolerance.noise}
        if spreads and not moving:
            return [NO_SPREAD]
        return [
            f"the error of {name} ({self._errors[name]:.1e}) is near to what inputs change in it ({spread:.1e})"
            for name, spread in moving.items()
            if self._errors[name] > spread / 2
        ]

    def add(
        self,
        ours: Mapping[str, np.ndarray],
        reference: Mapping[str, np.ndarray],
        logits: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Compare one set of outputs.

        `logits` maps the names of those that are a softmax to what goes into it, in the reference.
        """
        self.inputs += 1
        for name, truth in reference.items():
            if name not in ours:
                self._problem(f"output {name} is missing")
            elif ours[name].shape != truth.shape:
                self._problem(f"output {name} has shape {ours[name].shape}, the reference {truth.shape}")
            elif truth.dtype.kind in "biu":
                self._add_integers(name, ours[name], truth)
            elif self._comparable(name, ours[name], truth):
                self._add_floats(name, ours[name].astype(np.float64), truth.astype(np.float64))
                if logits is not None and name in logits:
                    self._add_logits(name, ours[name], truth, logits[name])

    def _add_integers(self, name: str, ours: np.ndarray, truth: np.ndarray) -> None:
        if not truth.size:
            return
        self._worst(float(np.abs(ours.astype(np.float64) - truth.astype(np.float64)).max()), None)
        different = float((ours != truth).mean())
        if different > self._tolerance.mismatches:
            self._problem(f"{different:.2%} of the elements of output {name} differ")

    def _comparable(self, name: str, ours: np.ndarray, truth: np.ndarray) -> bool:
        if np.isnan(truth).any():
            self._incomparable = True
            self._problem(f"the reference of output {name} holds NaN, so nothing can be verified with these inputs")
        elif np.isnan(ours).any():
            self._problem(f"output {name} holds NaN")
        elif not np.array_equal(np.isfinite(ours), np.isfinite(truth)):
            self._problem(f"output {name} holds infinities in other places than the reference")
        else:
            return bool(np.isfinite(truth).any())
        return False

    def _add_floats(self, name: str, ours: np.ndarray, truth: np.ndarray) -> None:
        finite = np.isfinite(truth)
        a, b = ours[finite], truth[finite]
        absolute, relative = float(np.abs(a - b).max()), relative_l2(a, b)
        self._worst(absolute, relative)
        self._see(f"output {name}", b, relative)
        largest = float(np.abs(b).max())
        peak = absolute / largest if largest > 0 else absolute
        if relative > self._tolerance.rel_l2:
            self._problem(
                f"output {name} is off by {relative:.1e} (relative L2), more than {self._tolerance.rel_l2:.0e}"
            )
        elif peak > self._tolerance.peak:
            self._problem(
                f"an element of output {name} is off by {peak:.1e} of the largest, more than {self._tolerance.peak:.0e}"
            )
        if name == self._classifier and finite.all() and truth.ndim >= 2:
            self._add_top1(name, ours, truth)

    def _add_top1(self, name: str, ours: np.ndarray, truth: np.ndarray) -> None:
        a, b = ours.reshape(truth.shape[0], -1), truth.reshape(truth.shape[0], -1)
        rows = np.arange(len(b))
        chosen, right = a.argmax(axis=1), b.argmax(axis=1)
        self._rows += len(rows)
        self._agreeing += int((chosen == right).sum())
        gaps = b[rows, right] - b[rows, chosen]
        if (gaps > self._tolerance.peak * np.abs(b).max()).any():
            self._problem(f"output {name} puts another class first")

    def _add_logits(self, name: str, ours: np.ndarray, truth: np.ndarray, logits: np.ndarray) -> None:
        pair = log_probabilities(ours, truth, logits)
        if pair is None:
            return
        relative = relative_l2(*pair)
        self._worst(None, relative)
        self._see(f"the logits of output {name}", pair[1], relative)
        if relative > self._tolerance.rel_l2:
            self._problem(
                f"the logits of output {name} are off by {relative:.1e} (relative L2), "
                f"more than {self._tolerance.rel_l2:.0e}"
            )

    def _see(self, name: str, reference: np.ndarray, error: float) -> None:
        self._errors[name] = max(self._errors.get(name, 0.0), error)
        self._spread.see(name, reference, self.inputs)

    def _worst(self, absolute: float | None, relative: float | None) -> None:
        if absolute is not None:
            self.max_abs_err = max(self.max_abs_err or 0.0, absolute)
        if relative is not None:
            self.rel_l2_err = max(self.rel_l2_err or 0.0, relative)

    def _problem(self, text: str) -> None:
        self._problems[text] = None


class _Spread:
    """How much the reference moves, relative to its size: from inputs to inputs or, with only one, within a tensor."""

    def __init__(self) -> None:
        self._first: dict[str, np.ndarray] = {}
        self._within: dict[str, float] = {}
        self._between: dict[str, float] = {}

    def values(self) -> dict[str, float]:
        """By name, the largest so far."""
        return {name: self._between.get(name, within) for name, within in self._within.items()}

    def see(self, name: str, values: np.ndarray, inputs: int) -> None:
        flat = values.ravel()
        norm = float(np.linalg.norm(flat))
        if inputs == 1:
            self._first[name] = flat
            self._within[name] = float(np.linalg.norm(flat - flat.mean())) / norm if norm > 0 else 0.0
        elif name in self._first and self._first[name].shape == flat.shape:
            moved = float(np.linalg.norm(flat - self._first[name])) / norm if norm > 0 else 0.0
            self._between[name] = max(self._between.get(name, 0.0), moved)


def relative_l2(ours: np.ndarray, reference: np.ndarray) -> float:
    """|ours - reference| / |reference|; the norm itself where the reference is all zeros."""
    difference, norm = float(np.linalg.norm(ours - reference)), float(np.linalg.norm(reference))
    return difference / norm if norm > 0 else difference
