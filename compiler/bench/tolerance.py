"""How near to the reference outputs must be, per precision: the one table.

| precision | relative L2 error | largest error / largest reference value | what sets it |
| --- | --- | --- | --- |
| fp32 | 5e-4 | 2e-3 | reordered sums give 1e-6 to 1e-5; Winograd F(4x4,3x3) through a deep network up to about 1e-4 |
| fp16 | 2e-2 | 5e-2 | factors rounded to 11 bits, sums in FP32 (of 16 products at most in FP16): 5e-4 to 2e-3 |
| tf32 | 2e-2 | 5e-2 | factors rounded to 11 bits, as FP16 is, sums in FP32 |
| bf16 | 1e-1 | 2e-1 | rounded to 8 bits: about eight times FP16's |

Integer and boolean outputs must be equal in FP32; otherwise at most the relative L2 tolerance's share of elements may
differ. A wrong top-1 class counts unless the reference itself holds the two classes closer than the second column
allows. Besides, every error must be less than half of what different inputs change in the reference: something that
ignored its inputs must not pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.errors import UsageError


@dataclass(frozen=True)
class Tolerance:
    """`rel_l2` bounds |ours - reference| / |reference|, `peak` max |ours - reference| / max |reference|.

    `mismatches` is the share of integers that may differ; a reference that moves less than `noise` (relative L2) from
    inputs to inputs says nothing.
    """

    rel_l2: float
    peak: float
    mismatches: float
    noise: float


TOLERANCES = {
    "fp32": Tolerance(rel_l2=5e-4, peak=2e-3, mismatches=0.0, noise=1e-5),
    "fp16": Tolerance(rel_l2=2e-2, peak=5e-2, mismatches=2e-2, noise=1e-3),
    "tf32": Tolerance(rel_l2=2e-2, peak=5e-2, mismatches=2e-2, noise=1e-3),
    "bf16": Tolerance(rel_l2=1e-1, peak=2e-1, mismatches=1e-1, noise=1e-2),
}


def tolerance(precision: str) -> Tolerance:
    """The row of the table. Raises UsageError for a precision that it does not have."""
    if precision not in TOLERANCES:
        raise UsageError(f"there is no tolerance for precision {precision!r}: choose from {', '.join(TOLERANCES)}")
    return TOLERANCES[precision]
