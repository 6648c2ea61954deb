"""The first candidates of a search: what was fast for similar kernels, tried on this one.

Each of the nearest records has a vote, for the point of this kernel's spaces that its tiles come to lie on. A vote
halves with each unit of distance between the kernels and devices, with each doubling by which the tiles had to give
way, and with each `SLOWER` that the record is slower than its kernel's fastest. The points with most votes are the
seeds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from compiler.tuning.warm_start.tiling import Cut, Point, move, read_cuts

if TYPE_CHECKING:
    from compiler.records.nearest.lookup import Neighbour
    from compiler.tuning.search import Candidate, Search

SEEDS = 3
LEAST = 0.2  # of the most votes that a point has; with fewer a point is not worth a trial
SLOWER = 0.05


def seeds(search: Search, neighbours: Sequence[Neighbour], tried: Collection[str] = ()) -> list[Candidate]:
    """Up to SEEDS candidates of `search`, the most voted first, but for what was `tried`. `neighbours` are of kernels
    of the same kind. The zero-trial schedule, which is always measured, is no seed but has its votes."""
    spaces = [read_cuts(trace) for trace in search.traces]
    if any(cuts is None for cuts in spaces) or not any(
        cut.sampled is not None for cuts in spaces for cut in cuts or ()
    ):
        return []  # a single schedule, or one of no family
    ranked = votes(neighbours, [cuts or () for cuts in spaces])
    found: list[Candidate] = []
    default = search.default().id
    for point, count in ranked:
        if len(found) == SEEDS or count < LEAST * ranked[0][1]:
            break
        candidate = search.at(point.space, dict(point.choices))
        if candidate is not None and candidate.id != default and candidate.id not in tried:
            found.append(candidate)
    return found


def votes(neighbours: Sequence[Neighbour], spaces: Sequence[Sequence[Cut]]) -> list[tuple[Point, float]]:
    """The points of `spaces` that `neighbours` vote for, with their votes, the most first."""
    count: dict[Point, float] = defaultdict(float)
    for neighbour in neighbours:
        cuts = read_cuts(neighbour.record.trace)
        moved = move(cuts, spaces) if cuts is not None else []
        for place in moved:
            far = neighbour.distance + place.bent + (neighbour.slower - 1) / SLOWER
            count[place.point] += 2.0**-far / len(moved)
    return sorted(count.items(), key=lambda item: (-item[1], item[0].space, item[0].choices))
