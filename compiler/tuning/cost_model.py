"""The model that ranks the candidates of a task before they are measured, shared by all tasks of a run.

Gradient-boosted trees (Chen and Guestrin, "XGBoost", KDD 2016), as AutoTVM and Ansor have (Chen et al., NeurIPS 2018;
Zheng et al., OSDI 2020), but of few numbers: by how much loops are cut, and the sizes of the kernel (`features`). They
are the same for a kernel that is tuned and for one of which only records are at hand, so that one teaches the other.
What is learned is how many times slower a candidate is than the best of its own kernel on its own device, which can be
compared where times cannot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from compiler.tuning.features import Features

LEAST = 24  # candidates; what trees make of fewer is chance
WORST = 1.2  # the logarithm beyond which slow is slow, and what a failure counts as
TREES = 60
_SETTINGS = {
    "max_depth": 6,
    "eta": 0.2,
    "subsample": 0.9,
    "colsample_bytree": 0.8,
    "min_child_weight": 2,
    "tree_method": "hist",
    # Of a few thousand samples several threads make no quick work, and on a busy machine they wait for each other.
    "nthread": 1,
    "verbosity": 0,
}


class CostModel:
    """Learns from candidates of any kernels, and ranks those of one."""

    def __init__(self, seed: int) -> None:
        """What is predicted depends on `seed` and on what was added, in its order."""
        self._seed = seed
        self._rows: list[Features] = []
        self._seconds: list[float] = []
        self._kernels: list[str] = []
        self._trees: Any = None
        self._fresh = True

    def __len__(self) -> int:
        """How many candidates it has learned from."""
        return len(self._rows)

    def add(self, kernel: str, features: Features, seconds: float | None) -> None:
        """Learn that a candidate of `kernel`, a name for it and its device, took `seconds`; None is for a failure."""
        self._rows.append(features)
        self._seconds.append(math.inf if seconds is None else seconds)
        self._kernels.append(kernel)
        self._fresh = False

    def predict(self, rows: np.ndarray) -> np.ndarray | None:
        """How slow candidates with the features `rows` (count x features) are beside others of their kernel, the
        smaller the better; None while too little was learned."""
        if not self._fresh:
            self._trees = self._fit()
            self._fresh = True
        if self._trees is None:
            return None
        import xgboost

        return np.asarray(self._trees.predict(xgboost.DMatrix(rows)))

    def _fit(self) -> Any:
        slower = self._slower()
        known = [number for number, value in enumerate(slower) if value is not None]
        if len(known) < LEAST:
            return None
        import xgboost

        rows = np.array([self._rows[number] for number in known], "float32")
        data = xgboost.DMatrix(rows, np.array([slower[number] for number in known], "float32"))
        return xgboost.train({**_SETTINGS, "seed": self._seed}, data, TREES)

    def _slower(self) -> Sequence[float | None]:
        """By how much each is slower than the best of its kernel, as a logarithm; None where there is no other."""
        best: dict[str, float] = {}
        count: dict[str, int] = {}
        for kernel, seconds in zip(self._kernels, self._seconds, strict=True):
            best[kernel] = min(seconds, best.get(kernel, math.inf))
            count[kernel] = count.get(kernel, 0) + 1
        return [
            None
            if count[kernel] < 2 or math.isinf(best[kernel])
            else WORST
            if math.isinf(seconds)
            else min(WORST, math.log(seconds / best[kernel]))
            for kernel, seconds in zip(self._kernels, self._seconds, strict=True)
        ]
