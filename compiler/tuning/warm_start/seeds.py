"""The first candidates of a search: what was fast for similar kernels, tried on this one.

Each of the nearest records has a vote, for the point of this kernel's spaces that its tiles come to lie on. A vote
halves with each unit of distance between the kernels and devices, with each doubling by which the tiles had to give
way, and with each `SLOWER` that the record is slower than its kernel's fastest. The points with most votes are the
seeds, of several register tiles: whoever is near in size may have been fast by a tile that this kernel is slow by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from compiler.tuning.warm_start.tiling import Cut, Point, move, read_cuts

if TYPE_CHECKING:
    from compiler.records.nearest.lookup import Neighbour
    from compiler.tuning.search import Candidate, Search

SEEDS = 2  # of a round of eight: for ten convolutions they were no better than points drawn at random
LEAST = 0.1  # of the most votes that a point has; with fewer a point is not worth a trial
AGAIN = 0.5  # what votes count for a point of a space that has a seed already, and again for each further one
SLOWER = 0.05


def seeds(search: Search, neighbours: Sequence[Neighbour], tried: Collection[str] = ()) -> list[Candidate]:
    """Up to SEEDS candidates of `search`, the most voted first, but for what was `tried`. `neighbours` are of kernels
    of the same kind. The zero-trial schedule, which is always measured, is no seed but has its votes."""
    spaces = [cuts for trace in search.traces for cuts in [read_cuts(trace)] if cuts is not None]
    if len(spaces) < len(search.traces) or not any(cut.sampled is not None for cuts in spaces for cut in cuts):
        return []  # a single schedule, or one of no family
    ranked = votes(neighbours, spaces)
    found: list[Candidate] = []
    known = {*tried, search.default().id}
    for point in varied([entry for entry in ranked if entry[1] >= LEAST * ranked[0][1]]):
        if len(found) == SEEDS:
            break
        candidate = search.at(point.space, dict(point.choices))
        if candidate is not None and candidate.id not in known:
            found.append(candidate)
    return found


def varied(ranked: Sequence[tuple[Point, float]]) -> list[Point]:
    """The points of `ranked`, with their votes, in the order in which to try them: see AGAIN."""
    left = list(ranked)
    taken: dict[int, int] = defaultdict(int)
    order: list[Point] = []
    while left:
        best = max(left, key=lambda entry: entry[1] * AGAIN ** taken[entry[0].space])
        left.remove(best)
        taken[best[0].space] += 1
        order.append(best[0])
    return order


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
