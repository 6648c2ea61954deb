"""What a classification of data came to, as results keep it."""

from __future__ import annotations

from msgspec import Struct


class Classification(Struct, frozen=True, kw_only=True):
    """Shares of one over `inputs` items; what needs labels is None without them, and counts the `labelled` ones only.

    `agreement` is how often the package's first class is the reference's; `rel_l2_err` the worst of all batches.
    """

    dataset: str
    inputs: int
    labelled: int
    reference: str
    agreement: float
    top1: float | None
    top5: float | None
    reference_top1: float | None
    reference_top5: float | None
    rel_l2_err: float | None
    ok: bool
    problems: list[str] = []
