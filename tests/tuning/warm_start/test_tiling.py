"""The cuts of a schedule, and where they come to lie on other sizes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.tuning.warm_start.tiling import Cut, Moved, Point, move, read_cuts

INSTRUCTIONS: list[Any] = [
    ["GetSBlock", [], ["out", "main"], ["b0"]],
    ["GetLoops", ["b0"], [], ["l1", "l2", "l3"]],
    ["SamplePerfectTile", ["l1"], [2, 64], ["v4", "v5"]],
    ["Split", ["l1", "v4", "v5"], [1, 0], ["l6", "l7"]],
    ["Split", ["l2", "None", 14], [1, 0], ["l8", "l9"]],
    ["Split", ["l3", "None", 16], [1, 0], ["l10", "l11"]],
    ["Vectorize", ["l11"], [], []],
    ["EnterPostproc", [], [], []],
    ["Split", ["l8", "None", 2], [1, 0], ["l12", "l13"]],
]
CUTS = (Cut(2, 7, 2, 64), Cut(14))


def text(instructions: list[Any], decisions: list[Any]) -> str:
    return json.dumps([instructions, decisions])


def test_the_cuts_of_a_trace() -> None:
    assert read_cuts(text(INSTRUCTIONS, [[2, [7, 2]]])) == CUTS


@pytest.mark.parametrize(
    "trace",
    [
        "",
        "[]",
        "[[], 3]",
        "[" * 100_000,
        text(INSTRUCTIONS, []),
        text(INSTRUCTIONS, [[2, [7]]]),
        text(INSTRUCTIONS, [[2, [0, 2]]]),
        text(INSTRUCTIONS, [[2, [7, -2]]]),
        text([["Split", ["l1", "None", "None"], [1, 0], ["l2", "l3"]]], []),
        text([["Split", ["l1", "None", 4, 4], [1, 0], ["l2", "l3", "l4"]]], []),
        text([["SamplePerfectTile", ["l1"], [3, 64], ["v1", "v2", "v3"]]], [[0, [1, 2, 3]]]),
        text([["Split", "l1"]], []),
        " " * (2 << 20),
    ],
)
def test_what_is_no_trace_of_a_family_has_none(trace: str) -> None:
    assert read_cuts(trace) is None


def test_a_move_takes_the_nearest_register_tile_and_the_nearest_divisors() -> None:
    spaces = [(Cut(1, 14, 5, 64), Cut(7)), (Cut(1, 14, 6, 64), Cut(13))]
    assert move(CUTS, spaces) == [
        Moved(Point(1, ((6, (7, 2)),)), pytest.approx(0.1069, abs=1e-4)),
    ]


def test_a_move_keeps_what_is_within_or_what_is_outside() -> None:
    [within, outside] = move((Cut(2, 7, 2, 64),), [(Cut(1, 28, 0, 64),)])
    assert within == Moved(Point(0, ((0, (14, 2)),)), 0.0)
    assert outside == Moved(Point(0, ((0, (7, 4)),)), 0.0)


def test_a_choice_is_no_larger_than_the_space_allows() -> None:
    [moved] = move((Cut(16, 1, 0, 64),), [(Cut(1, 64, 0, 4),)])
    assert moved.point.choices == ((0, (16, 4)),)


def test_cuts_of_another_family_do_not_move() -> None:
    assert move(CUTS, [(Cut(7),)]) == []
    assert move(CUTS, []) == []


def test_what_one_has_fixed_and_the_other_chosen_moves_too() -> None:
    """As the tiles in a block of a Winograd convolution: chosen at batch 1, and fixed for each space at larger ones."""
    assert move((Cut(4),), [(Cut(1, 12, 3, 64),)]) == [Moved(Point(0, ((3, (3, 4)),)), 0.0)]
    assert move((Cut(4, 3, 3, 64),), [(Cut(2),), (Cut(5),)])[0].point == Point(1, ())


@given(
    st.integers(1, 512),
    st.integers(1, 512),
    st.integers(1, 2000),
    st.sampled_from([1, 4, 16, 64]),
)
def test_choices_always_divide_the_loop(inner: int, outer: int, extent: int, most: int) -> None:
    for moved in move((Cut(inner, outer, 0, 64),), [(Cut(1, extent, 7, most),)]):
        [(number, (outside, within))] = moved.point.choices
        assert number == 7
        assert outside * within == extent
        assert within <= most
        assert moved.bent >= 0
