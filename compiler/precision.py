"""The precisions that a package may be compiled in, and which targets have them. Imports nothing slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.errors import UsageError

if TYPE_CHECKING:
    import targets

TF32 = "tf32"
PRECISIONS = {"fp32": "float32", "fp16": "float16", TF32: "float32"}
"""What weights are stored as. Long sums are kept in float32 on CPUs whatever the precision."""

OLDEST_WITH_TF32 = 80  # compute capability


def storage_of(precision: str) -> str:
    """Weight type of a precision's name; UsageError lists the names where it is none."""
    try:
        return PRECISIONS[precision]
    except KeyError:
        raise UsageError(f"unknown precision {precision!r}: use {' or '.join(PRECISIONS)}") from None


def must_have(target: targets.Target, precision: str) -> None:
    """Raises UsageError for a precision that there is none of, or that the hardware of `target` has no units for."""
    storage_of(precision)
    if precision != TF32:
        return
    from targets.cuda_toolkit import sm

    arch = str(target.options["arch"]) if target.kind == "cuda" else None
    if arch is None or sm(arch) < OLDEST_WITH_TF32:
        what = "a CPU" if arch is None else arch
        raise UsageError(
            f"{target.name} ({what}) has no TF32, which NVIDIA's GPUs have from sm_80 on: use fp32 or fp16"
        )
