"""The zero-trial schedule of one kernel per family on GPUs, as text, like `tests/schedules/test_golden.py`.

After a wanted change: `pytest tests/schedules --update-golden`, and look at the difference before keeping it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from compiler.graph.scheduling import zero_trial
from schedules.cuda.gpu import Gpu, gpu
from tests.cuda.half_cases import HALF, half_conv
from tests.schedules.golden import assert_reviewed
from tests.schedules.kernels_for_tests import Case, conv_case, dense_case, lrn_case, pool_case, winograd_case
from tests.schedules.test_numerics import CASES

GOLDEN = Path(__file__).parent / "golden"
TX1, TURING, ORIN = gpu(53, 2, memory_gb_s=25.6), gpu(75, 40, memory_gb_s=320), gpu(87, 16, memory_gb_s=204.8)

KERNELS: dict[str, tuple[Callable[[], Case], Gpu]] = {
    "tensor-copied": (partial(half_conv, (1, 14, 14, 64), 64, pads=(1,)), ORIN),
    "tensor-registers": (partial(conv_case, (1, 14, 14, 64), 64, pads=(1,), storage=HALF), TURING),
    "tensor-parts": (partial(half_conv, (1, 7, 7, 512), 128, pads=(1,)), ORIN),
    "tensor-tf32": (partial(conv_case, (1, 14, 14, 64), 64, pads=(1,), factors="tf32"), ORIN),
    "half": (partial(conv_case, (1, 14, 14, 32), 64, pads=(1,), storage=HALF), TX1),
    "winograd": (partial(winograd_case, 4, (1, 16, 16, 32), 64), ORIN),
    "gemm": (partial(conv_case, (1, 14, 14, 32), 64, pads=(1,)), ORIN),
    "gemv": (partial(dense_case, 1, 256, 512), ORIN),
    "window": (partial(pool_case, "max", (1, 14, 14, 32), (3, 3), (2, 2), (1, 1, 1, 1)), ORIN),
    "rows": (CASES["other: softmax"], ORIN),
    "elementwise": (partial(lrn_case, (1, 14, 14, 32), 5, 1e-4, 0.75, 1.0), ORIN),
}


@pytest.mark.parametrize("name", KERNELS)
def test_the_zero_trial_schedule_is_the_one_that_was_reviewed(name: str, update_golden: bool) -> None:
    make, hardware = KERNELS[name]
    assert_reviewed(GOLDEN / f"{name}.txt", zero_trial(make().task, hardware), update_golden)


def test_every_golden_file_has_its_kernel() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(KERNELS)
