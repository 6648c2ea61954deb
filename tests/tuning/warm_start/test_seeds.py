"""What was fast for similar kernels is tried first: as points of this kernel's own spaces, never as their traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial

import pytest

import targets
from compiler.graph.scheduling import cpu_hardware
from compiler.graph.variants import Task
from compiler.records.nearest.lookup import Neighbour
from compiler.records.record import Record
from compiler.records.workload import replay, workload_of
from compiler.tuning.search import Candidate, Search
from compiler.tuning.warm_start import seeds as module
from compiler.tuning.warm_start.seeds import SEEDS, seeds, varied, votes
from compiler.tuning.warm_start.tiling import Cut, Point, read_cuts
from compiler.tvm_setup import prepare
from tests.records.samples import record
from tests.schedules.kernels_for_tests import Case, concat_case, conv_case, dense_case, winograd_case

TARGET = targets.get("x86-avx512", 2)
"""Not this machine's, so that the spaces are the same everywhere: nothing is built here."""


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> Iterator[None]:
    prepare()
    yield


@cache
def search(make: Callable[[], Case]) -> Search:
    mod = make().task
    return Search(Task("task", mod, workload_of(mod).hash), TARGET.to_tvm(), cpu_hardware(TARGET), 1, None)


def conv(channels: int, batch: int = 1, size: int = 28) -> Search:
    return search(_conv(channels, batch, size))


@cache
def _conv(channels: int, batch: int, size: int) -> Callable[[], Case]:
    return partial(conv_case, (batch, size, size, 32), channels, pads=(1,))


def neighbour(candidate: Candidate, distance: float = 0.0, slower: float = 1.0) -> Neighbour:
    made: Record = record(trace=candidate.trace)
    return Neighbour(made, distance, slower)


def points(of: Search) -> list[Candidate]:
    """A point of each space, other than its default: whole rows in a piece."""
    found = []
    for number, trace in enumerate(of.traces):
        cuts = [cut for cut in read_cuts(trace) or () if cut.sampled is not None]
        first = cuts[0]
        extent = (first.outer or 1) * first.inner
        assert first.sampled is not None
        candidate = of.at(number, {first.sampled: (1, extent) if first.inner != extent else (extent, 1)})
        if candidate is not None:
            found.append(candidate)
    return found


def test_a_point_at_the_defaults_is_the_spaces_own() -> None:
    here = conv(64)
    default = here.at(0, {})
    assert default is not None
    assert default.id == here.default().id
    assert default.module == here.default().module


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (_conv(64, 1, 28), _conv(128, 1, 28)),
        (_conv(64, 4, 28), _conv(64, 1, 28)),
        (_conv(64, 1, 14), _conv(64, 1, 56)),
        (partial(dense_case, 1, 512, 1000), partial(dense_case, 1, 256, 500)),
        (partial(winograd_case, 4, (1, 28, 28, 32), 64), partial(winograd_case, 4, (1, 56, 56, 32), 64)),
        (partial(winograd_case, 4, (1, 28, 28, 32), 64), partial(winograd_case, 4, (8, 28, 28, 32), 64)),
    ],
    ids=["channels", "batch", "picture", "dense", "winograd", "winograd-batch"],
)
def test_seeds_are_schedules_of_this_kernel(here: Callable[[], Case], there: Callable[[], Case]) -> None:
    own, other = search(here), search(there)
    donors = points(other) if len(other.traces) > 1 else [other.default()]
    found = seeds(own, [neighbour(candidate) for candidate in donors])
    assert 1 <= len(found) <= SEEDS
    assert own.default().id not in {c.id for c in found}
    assert len({c.id for c in found}) == len(found)
    for candidate in found:
        assert replay(candidate.trace, own.task.mod), "its trace is a record's"
        own_cuts, known = read_cuts(candidate.trace), {len(read_cuts(trace) or ()) for trace in own.traces}
        assert own_cuts is not None and len(own_cuts) in known


def test_the_same_point_of_twice_the_channels_is_found_again() -> None:
    here, there = conv(64), conv(128)
    donor = points(there)[1]
    [first, *_] = seeds(here, [neighbour(donor)])
    theirs, ours = ([cut.inner for cut in read_cuts(c.trace) or ()] for c in (donor, first))
    assert ours[:3] == theirs[:3], "rows of a piece, pixels and channels of the register tile"
    assert ours[3:] == [2, 1], "all channels in a piece, as there"


def test_what_was_tried_is_no_seed() -> None:
    here = conv(64)
    neighbours = [neighbour(c) for c in points(conv(128))]
    before = seeds(here, neighbours)
    after = seeds(here, neighbours, {before[0].id})
    assert before[0].id not in {c.id for c in after}


def test_a_kernel_with_nothing_to_choose_has_no_seeds() -> None:
    alone = search(partial(concat_case, [(3,), (4,)], 0))
    assert seeds(alone, [neighbour(alone.default())]) == []


def test_what_has_no_such_cuts_has_no_vote() -> None:
    odd = Neighbour(record(trace='[[["Split",["l1","None","None"],[1,0],["l2","l3"]]],[]]'), 0.0, 1.0)
    other = Neighbour(record(), 0.0, 1.0)
    assert seeds(conv(64), [odd, other]) == []


SPACES = [(Cut(1, 16, 0, 64), Cut(7)), (Cut(1, 16, 0, 64), Cut(14))]


def voter(inner: int, tile: int, distance: float = 0.0, slower: float = 1.0) -> Neighbour:
    trace = (
        f'[[["SamplePerfectTile",["l1"],[2,64],["v1","v2"]],["Split",["l1","v1","v2"],[1,0],["l2","l3"]],'
        f'["Split",["l4","None",{tile}],[1,0],["l5","l6"]]],[[0,[{16 // inner},{inner}]]]]'
    )
    return Neighbour(record(trace=trace), distance, slower)


def test_votes_halve_with_the_distance_with_what_had_to_give_way_and_with_slowness() -> None:
    near = Point(1, ((0, (4, 4)),))
    assert votes([voter(4, 14)], SPACES) == [(near, 1.0)]
    assert votes([voter(4, 14, distance=2.0)], SPACES) == [(near, 0.25)]
    assert votes([voter(4, 28)], SPACES) == [(near, 0.5)]
    assert votes([voter(4, 14, slower=1 + module.SLOWER)], SPACES) == [(near, pytest.approx(0.5))]


def test_votes_for_one_point_add_up() -> None:
    ranked = votes([voter(4, 14, distance=1.0), voter(4, 14, distance=1.0), voter(2, 7, distance=0.5)], SPACES)
    assert [point.space for point, _ in ranked] == [1, 0]
    assert ranked[0][1] == 1.0


def test_seeds_are_of_several_register_tiles() -> None:
    a, b, c, d = (Point(space, ((0, (1, n)),)) for n, space in enumerate((0, 0, 1, 0)))
    assert varied([(a, 1.0), (b, 0.9), (c, 0.5), (d, 0.8)]) == [a, c, b, d]
    assert varied([]) == []
