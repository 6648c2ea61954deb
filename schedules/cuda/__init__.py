"""Schedules for NVIDIA GPUs: a file per kind of kernel, each a function of tile sizes whose default point needs no
tuning."""

from __future__ import annotations

from collections.abc import Callable

from tvm import s_tir

from . import elementwise, gemm, gemv, half, rows, tensor, window, winograd
from .blocks import NotApplicable
from .gpu import Gpu

FAMILIES = (tensor, half, gemm, gemv, winograd, window, rows)

Space = Callable[[s_tir.Schedule], None]


def spaces(sch: s_tir.Schedule, gpu: Gpu) -> list[Space]:
    """The design spaces of the function in `sch`, best first; each is a function that schedules a copy of it.

    The first, taken at its defaults, is the schedule that a kernel gets with no tuning. Where none applies,
    `elementwise.spaces` are the last resort.
    """
    for family in FAMILIES:
        try:
            found = family.spaces(sch, gpu)
        except NotApplicable:
            continue
        if found:
            return found
    return elementwise.spaces(sch, gpu)
