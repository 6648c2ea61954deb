"""The points of a space: all of them, each once, as TVM itself would choose."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.tuning import points
from compiler.tuning.features import factors
from compiler.tuning.points import Point, Space

SAMPLES = '["SamplePerfectTile",["l5"],[2,{most}],["v8","v9"]],["Split",["l5","v8","v9"],[1,0],["l10","l11"]]'


def space(extent: int, inner: int, most: int, number: int = 0) -> Space:
    instructions = json.loads(f"[{SAMPLES.format(most=most)}]")
    instructions.append(["SampleCategorical", [], [[0, 16, 64], [0.3, 0.3, 0.4]], ["v12"]])
    return Space(number, json.dumps([instructions, [[0, [extent // inner, inner]], [2, 1]]]))


@given(st.integers(1, 400), st.integers(1, 64), st.data())
def test_every_choice_is_there_once(extent: int, most: int, data: st.DataObject) -> None:
    inner = data.draw(st.sampled_from([d for d in range(1, extent + 1) if extent % d == 0]))
    found = space(extent, inner, most).points(random.Random(0))
    wanted = {d for d in range(1, min(extent, most) + 1) if extent % d == 0}
    tiles = {dict(point.choices)[0] for point in found}
    assert tiles >= {(extent // d, d) for d in wanted}
    assert tiles <= {(extent // d, d) for d in {*wanted, inner}}, "and the default, whatever the limit"
    assert len(set(found)) == len(found)
    assert {dict(point.choices)[2] for point in found} == {0, 1, 2}


def test_of_a_large_space_some_are_drawn_and_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "MOST", 10)
    large = space(2**12, 4, 1 << 20)
    found = large.points(random.Random(1))
    assert 2 <= len(found) <= 11 and found == large.points(random.Random(1))
    assert Point(0, ((0, (2**10, 4)), (2, 1))) in found


def test_features_are_those_of_the_trace_with_these_choices() -> None:
    one = space(64, 8, 64)
    for point in one.points(random.Random(0)):
        choices = dict(point.choices)
        text = json.dumps([one._instructions, [[0, list(choices[0])], [2, choices[2]]]])
        assert one.features(point) == factors(text)


def test_other_ways_to_choose_are_refused() -> None:
    with pytest.raises(ValueError, match="SampleComputeLocation"):
        Space(0, '[[["SampleComputeLocation",["b0"],[],["l1"]]],[[0,3]]]')
