"""Schedules for NVIDIA GPUs: a file per kind of kernel, each a function of tile sizes whose default point needs no
tuning."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import tvm
from tvm import s_tir

from . import elementwise, gemm, gemv, half, intrinsics, rows, tensor, window, winograd
from .blocks import NotApplicable, root_blocks
from .factors import TF32
from .gpu import Gpu

_HALF = re.compile(r"edgetune\.half\.([24])x([24])")

FAMILIES = (tensor, half, gemm, gemv, winograd, window, rows)

Space = Callable[[s_tir.Schedule], None]


def register_intrinsics(names: Iterable[str]) -> None:
    """Make those of the tensor intrinsics `names` that are ours known to TVM: what a schedule from elsewhere, or of
    another process, names."""
    for name in names:
        size = _HALF.fullmatch(name)
        if size is not None:
            half.multiply(int(size[1]), int(size[2]))
        elif name in intrinsics.NAMES:
            intrinsics.register()


def may_name(names: Iterable[str], mod: tvm.IRModule) -> bool:
    """Whether a schedule of the kernel in `mod` may use these tensor intrinsics: none that rounds factors to TF32 where
    the kernel does not say that they may be."""
    if not any(name.startswith(TF32.intrinsic("")) for name in names):
        return True
    sch = s_tir.Schedule(mod, error_render_level="none")
    return any(tensor.may_be_tf32(sch.get(block)) for block in root_blocks(sch))


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
