"""The zero-trial schedule of one kernel per family, as text: a change of a schedule is seen, and reviewed, as a diff.

After a wanted change: `pytest tests/schedules --update-golden`, and look at the difference before keeping it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from compiler.graph.scheduling import zero_trial
from tests.schedules import hardware_for_tests as hw
from tests.schedules.golden import assert_reviewed
from tests.schedules.kernels_for_tests import (
    Case,
    concat_case,
    conv_case,
    dense_case,
    grouped_case,
    half_case,
    lrn_case,
    pool_case,
    winograd_case,
)

GOLDEN = Path(__file__).parent / "golden"
HARDWARE = {"conv2d_half": hw.NEON}  # the others: AVX2

KERNELS: dict[str, Callable[[], Case]] = {
    "conv2d": partial(conv_case, (1, 14, 14, 32), 64, pads=(1,)),
    "conv2d_half": partial(half_case, (1, 14, 14, 32), 64, pads=(1,)),
    "grouped": partial(grouped_case, (1, 14, 14, 68), 4, 34, 40),
    "winograd": partial(winograd_case, 2, (1, 14, 14, 32), 64),
    "dense": partial(dense_case, 1, 256, 512),
    "window-pool": partial(pool_case, "max", (1, 14, 14, 32), (3, 3), (2, 2), (1, 1, 1, 1)),
    "window-depthwise": partial(conv_case, (1, 14, 14, 32), 32, groups=32, pads=(1,)),
    "lrn": partial(lrn_case, (1, 14, 14, 32), 5, 1e-4, 0.75, 1.0, 3, True),
    "generic-concat": partial(concat_case, [(1, 14, 14, 32), (1, 14, 14, 64)], 3),
}


@pytest.mark.parametrize("name", KERNELS)
def test_the_zero_trial_schedule_is_the_one_that_was_reviewed(name: str, update_golden: bool) -> None:
    assert_reviewed(
        GOLDEN / f"{name}.txt", zero_trial(KERNELS[name]().task, HARDWARE.get(name, hw.AVX2)), update_golden
    )


def test_every_golden_file_has_its_kernel() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(KERNELS)
