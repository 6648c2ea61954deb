"""How far the reference's own answer can be trusted: how far it moves when its operators round otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from compiler.bench.compare import Comparison
from compiler.bench.tolerance import TOLERANCES, Tolerance

if TYPE_CHECKING:
    from compiler.bench.verify import Answer, Reference

SHAKES = 3
MARGIN = 4.0
"""How many times what the reference moves by another may be off: an operator rounds more than once."""


def uncertainty(
    reference: Reference, inputs: Sequence[Mapping[str, np.ndarray]], answers: Sequence[Answer]
) -> float | None:
    """The most that the reference's `answers` to `inputs` move (relative L2) in `SHAKES` tries; None: it cannot say."""
    if reference.shaken is None:
        return None
    worst = 0.0
    for seed in range(SHAKES):
        other = reference.shaken(seed)
        moved = Comparison(TOLERANCES["fp32"], reference.classifier)
        for arrays, (truth, logits) in zip(inputs, answers, strict=True):
            moved.add(other.run(arrays), truth, logits)
        if moved.rel_l2_err is None:
            return None
        worst = max(worst, moved.rel_l2_err)
    return worst


def widened(tolerance: Tolerance, found: float) -> Tolerance:
    """`tolerance` for a reference that is uncertain by `found`, never wider than FP16's."""
    most = TOLERANCES["fp16"].rel_l2
    scale = min(MARGIN * found, most) / tolerance.rel_l2
    if scale <= 1:
        return tolerance
    return replace(tolerance, rel_l2=tolerance.rel_l2 * scale, peak=tolerance.peak * scale)
