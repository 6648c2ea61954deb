"""What the cost model learns: who is slow beside others of its own kernel."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.records.nearest.kernels import AXES, Kernel
from compiler.tuning.cost_model import LEAST, CostModel
from compiler.tuning.features import FACTORS, SIZE, factors, sizes

CONV = Kernel("conv2d", (1, 28, 28, 64, 3, 3, 32))


def row(kernel: Kernel, *cuts: float) -> tuple[float, ...]:
    return sizes(kernel) + (float(len(cuts)), *cuts) + (-2.0,) * (FACTORS - len(cuts))


def test_it_says_nothing_before_it_knows_enough() -> None:
    model = CostModel(0)
    rows = np.array([row(CONV, n) for n in range(LEAST)])
    assert model.predict(rows) is None
    for n in range(LEAST):
        model.add(f"kernel {n}", row(CONV, n), 1e-3)
    assert model.predict(rows) is None, "of kernels with one candidate nothing follows"
    for n in range(LEAST):
        model.add("kernel", row(CONV, n), 1e-3 * (n + 1))
    assert model.predict(rows) is not None


def test_times_of_different_kernels_are_not_compared() -> None:
    model = CostModel(0)
    for n in range(40):
        model.add("quick", row(CONV, n % 8), 1e-6 * (1 + n % 8))
        model.add("slow", row(CONV, n % 8), 1.0 * (1 + n % 8))
    slow = model.predict(np.array([row(CONV, n) for n in range(8)]))
    assert slow is not None
    assert list(np.argsort(slow)) == list(range(8))
    assert slow[0] == pytest.approx(0.0, abs=0.1) and slow[1] == pytest.approx(np.log(2), abs=0.1)


def test_failures_are_slow_and_a_kernel_of_failures_says_nothing() -> None:
    model = CostModel(0)
    for n in range(40):
        model.add("fails", row(CONV, n % 8), None)
    assert model.predict(np.array([row(CONV, 1)])) is None
    for n in range(40):
        model.add("conv", row(CONV, n % 8), None if n % 8 > 4 else 1e-3)
    slow = model.predict(np.array([row(CONV, n) for n in range(8)]))
    assert slow is not None and min(slow[5:]) > max(slow[:5]) + 0.5


def test_the_same_is_predicted_from_the_same() -> None:
    def made(seed: int) -> np.ndarray:
        model = CostModel(seed)
        random = np.random.default_rng(1)
        for _ in range(60):
            cuts = random.integers(0, 6, 3)
            model.add("conv", row(CONV, *cuts), 1e-3 * (1 + cuts.sum()))
        found = model.predict(np.array([row(CONV, a, b, 0) for a in range(6) for b in range(6)]))
        assert found is not None
        return found

    assert (made(3) == made(3)).all()
    assert (made(3) != made(4)).any()


def test_features_have_one_length() -> None:
    for kind, axes in AXES.items():
        assert len(row(Kernel(kind, tuple(range(1, len(axes) + 1))))) == SIZE
    assert len(row(Kernel("dense", (1, 2, 3)), *range(FACTORS))) == len(sizes(None)) + 1 + FACTORS == SIZE


def test_factors_of_a_trace() -> None:
    trace = (
        '[[["SamplePerfectTile",["l5"],[2,32],["v8","v9"]],["Split",["l5","v8","v9"],[1,0],["l10","l11"]],'
        '["SampleCategorical",[],[[0,16,64],[0.3,0.3,0.4]],["v12"]],["Split",["l7","None",80],[1,0],["l12","l13"]],'
        '["EnterPostproc",[],[],[]],["Split",["l1",4,4],[1,0],["l20","l21"]]],[[0,[8,2]],[2,1]]]'
    )
    found = factors(trace)
    assert found is not None and len(found) == 1 + FACTORS
    assert found[:5] == (4.0, 3.0, 1.0, pytest.approx(np.log2(17)), pytest.approx(np.log2(80)))
    for broken in ("", "7", "[[],[]", '[[["Split",["l0",0],[],["l1"]]],[]]', trace.replace("[8,2]", "[8]"), "[" * 9999):
        assert factors(broken) is None
