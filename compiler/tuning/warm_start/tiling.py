"""How a schedule cuts its loops, read from its trace as data, and the same cuts on the sizes of another kernel.

The schedules of a family (`schedules/cpu`) cut the same loops in the same order, whatever the kernel's sizes: a
register tile of rows and channels, rows and channel tiles of a parallel piece, unrolled steps. So the cuts of two
kernels of a family can be laid side by side. Nothing of another kernel's trace is ever applied: only these numbers are
taken over, into one of the design spaces that this kernel has anyway.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compiler.tuning.features import MAX_TRACE_CHARS
from compiler.tuning.points import Point
from schedules.cpu.tiles import divisors

FIXED, SAMPLED = 1.0, 0.5
"""What a doubling counts: of a cut that a space has fixed (the register tile), and of one that is searched."""


@dataclass(frozen=True)
class Cut:
    """A loop cut in two: `inner` steps within each of `outer` (None: not said). `sampled` is the number of the
    instruction that chose it, None where the space has it fixed; `most` is how large `inner` may become by choosing."""

    inner: int
    outer: int | None = None
    sampled: int | None = None
    most: int = 0


@dataclass(frozen=True)
class Moved:
    """Where cuts come to lie in another kernel's spaces, and by how many doublings they had to give way."""

    point: Point
    bent: float


def read_cuts(trace: str) -> tuple[Cut, ...] | None:
    """The cuts that a trace's text makes before its postprocessing, in order, but for those into vectors, which follow
    from the CPU. None for what is no trace of the families here: loops cut in three, or by something else.
    """
    if len(trace) > MAX_TRACE_CHARS:
        return None
    try:
        instructions, decisions = json.loads(trace)
        return _cuts(instructions, {int(position): value for position, value in decisions})
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None


def _cuts(instructions: list[Any], decisions: dict[int, Any]) -> tuple[Cut, ...] | None:
    chosen: dict[str, Cut] = {}  # by the variables that a sample gives
    cuts: dict[str, Cut] = {}  # by the inner loop
    for number, (name, inputs, attributes, outputs) in enumerate(instructions):
        if name == "EnterPostproc":
            break
        if name == "SamplePerfectTile":
            if len(outputs) != 2:
                return None
            outer, inner = (int(factor) for factor in decisions[number])
            chosen[outputs[1]] = Cut(inner, outer, number, int(attributes[1]))
        elif name == "Split":
            if len(inputs) != 3 or len(outputs) != 2:
                return None
            factor = inputs[2]
            cut = chosen[factor] if isinstance(factor, str) else Cut(int(factor))
            if cut.inner < 1 or cut.outer == 0:
                return None
            cuts[outputs[1]] = cut
        elif name == "Vectorize":
            cuts.pop(inputs[0], None)
    return tuple(cuts.values())


def move(cuts: Sequence[Cut], spaces: Sequence[Sequence[Cut]]) -> list[Moved]:
    """Where `cuts` of a similar kernel come to lie in `spaces` of this one; empty where the cuts are others.

    It is the space whose fixed cuts are nearest. There, each choice is the divisor nearest to what the similar kernel
    has, once as steps within (what stays in a cache), once as steps outside (what cores share): one point or two.
    """
    fitting = [(_fixed(cuts, space), number) for number, space in enumerate(spaces) if len(space) == len(cuts)]
    if not fitting:
        return []
    bent, number = min(fitting)
    found: dict[Point, Moved] = {}
    for within in (True, False):
        choices, more = [], 0.0
        for theirs, ours in zip(cuts, spaces[number], strict=True):
            if ours.sampled is None or ours.outer is None:
                continue
            inner, off = _nearest(ours, theirs, within)
            choices.append((ours.sampled, (ours.outer * ours.inner // inner, inner)))
            more += SAMPLED * off
        moved = Moved(Point(number, tuple(choices)), bent + more)
        known = found.get(moved.point)
        if known is None or moved.bent < known.bent:
            found[moved.point] = moved
    return list(found.values())


def _fixed(cuts: Sequence[Cut], space: Sequence[Cut]) -> float:
    """How far the fixed cuts of `space` are from `cuts`."""
    pairs = zip(cuts, space, strict=True)
    return sum(FIXED * abs(math.log2(a.inner / b.inner)) for a, b in pairs if b.sampled is None)


def _nearest(ours: Cut, theirs: Cut, within: bool) -> tuple[int, float]:
    """The inner steps of `ours` that are nearest to `theirs`, and how far they are."""
    extent = (ours.outer or 1) * ours.inner
    fits = [d for d in divisors(extent) if d <= max(1, ours.most)]
    if within or theirs.outer is None:
        far = {d: abs(math.log2(d / theirs.inner)) for d in fits}
    else:
        far = {d: abs(math.log2(extent // d / theirs.outer)) for d in fits}
    best = min(fits, key=lambda d: (far[d], -d))
    return best, far[best]
