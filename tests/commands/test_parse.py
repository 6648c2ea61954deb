"""Option texts: right ones give values, all others one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.commands import parse
from compiler.errors import UsageError


def test_right_texts() -> None:
    assert parse.batches("1,48") == [1, 48]
    assert parse.batches(" 8 , 8") == [8]
    assert parse.precisions("fp16,fp32") == ["fp16", "fp32"]
    assert parse.shapes(["images:1,3,320,320", "a:b:0:7"]) == {"images": (1, 3, 320, 320), "a:b:0": (7,)}
    assert parse.shapes(["scalar:"]) == {"scalar": ()}
    assert parse.duration("10m") == 600
    assert parse.duration("90s") == 90
    assert parse.duration("1h30m") == 5400
    assert parse.duration("45") == 45
    assert parse.duration("0.5h") == 1800


@pytest.mark.parametrize("text", ["", "0", "-1", "1,", "x", "1.5", "١", "9" * 40])
def test_wrong_batches(text: str) -> None:
    with pytest.raises(UsageError, match="--batch"):
        parse.batches(text)


@pytest.mark.parametrize("text", ["", "images", ":1,2", "images:1,x", "images:0", "images:1,-3"])
def test_wrong_shapes(text: str) -> None:
    with pytest.raises(UsageError, match="--shape"):
        parse.shapes([text])
    with pytest.raises(UsageError, match="twice"):
        parse.shapes(["a:1", "a:2"])


@pytest.mark.parametrize("text", ["", "0", "m", "10x", "-5m", "1m1h", "1e9"])
def test_wrong_times(text: str) -> None:
    with pytest.raises(UsageError, match="--time"):
        parse.duration(text)


@given(st.lists(st.integers(1, 2**31 - 1), min_size=1, unique=True))
def test_batches_are_read_as_they_are_written(values: list[int]) -> None:
    assert parse.batches(",".join(map(str, values))) == values


@given(st.text(min_size=1), st.lists(st.integers(1, 10**6)))
def test_shapes_are_read_as_they_are_written(name: str, dimensions: list[int]) -> None:
    assert parse.shapes([f"{name}:{','.join(map(str, dimensions))}"]) == {name: tuple(dimensions)}


@given(st.text())
def test_any_text_is_a_value_or_one_line(text: str) -> None:
    for read in (parse.batches, parse.precisions, parse.duration, lambda text: parse.shapes([text])):
        try:
            assert read(text)
        except UsageError as error:
            assert str(error)
