"""When products are summed up in FP16 on CPUs that calculate in it, and what that costs beside FP32.

A vector holds twice as many numbers in FP16 as in FP32, so half as many multiply-adds make the same products. Sums of
thousands in FP16 would lose most of their 11 bits: only a short run of products is, and its sum is then widened and
added to one in FP32. For the vector of FP16 sums of a run of r terms, the vector units are given

    r multiply-adds, 1 to set the sums to zero, 2 to widen them and 2 to add them up: r + 5

operations, where FP32 takes 2 r for the same products. Loads and stores of the FP32 sums, which do not fit in registers
beside those in FP16, go to other units.

| run | operations | of FP32's |
| --- | --- | --- |
| 4 | 9 | 1.13 |
| 8 | 13 | 0.81 |
| 16 | 21 | 0.66 |
| 32 | 37 | 0.58 |

Its n-th addition rounds a sum of n terms to 11 bits, so the error of a run grows with its length, as that of the whole
does: by the square root of half of it. At 16 that is not yet three times the error of one rounding, which the factors
have anyway; 32 would double the error's square for an eighth of the time. So runs are of 8 to 16 terms.
"""

from __future__ import annotations

SHORTEST, LONGEST = 8, 16


def run_of(terms: int) -> int:
    """How many of `terms` products are summed up in FP16 at a time, evenly; 0 where no run does that and pays."""
    return next((run for run in range(LONGEST, SHORTEST - 1, -1) if terms % run == 0), 0)


def relative_cost(run: int) -> float:
    """Operations of the vector units for products in runs of `run`, over those that FP32 takes."""
    return (run + 5) / (2 * run)
