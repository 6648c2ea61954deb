"""The arguments that candidates are measured on: enough cold weights, aligned, and made once."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from compiler.runtime.measure import arguments
from compiler.runtime.measure.arguments import ALIGNMENT, MAX_COPIES, ArgumentSets

COLD_BYTES = 1 << 20
INPUT, OUTPUT = ((1, 8, 8, 3), "float32"), ((1, 8, 8, 16), "float32")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "COLD_BYTES", COLD_BYTES)


def addresses(sets: list[list[Any]], position: int) -> list[int]:
    return [np.from_dlpack(made[position]).ctypes.data for made in sets]


def test_copies_of_the_weights_fill_the_cold_bytes_and_share_the_rest() -> None:
    weight, bias = ((3, 3, 100, 37), "float32"), ((37,), "float32")
    sets = ArgumentSets().of([INPUT, weight, bias, OUTPUT], [1, 2])
    size = 4 * (3 * 3 * 100 * 37 + 37)
    assert len(sets) == -(-COLD_BYTES // size)
    spans = sorted(
        (at, at + 4 * int(np.prod(shape)))
        for position, (shape, _) in ((1, weight), (2, bias))
        for at in addresses(sets, position)
    )
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans)), "copies overlap"
    assert all(begin % ALIGNMENT == 0 for begin, _ in spans)
    assert len(set(addresses(sets, 0))) == len(set(addresses(sets, 3))) == 1
    assert [tuple(t.shape) for t in sets[-1]] == [INPUT[0], weight[0], bias[0], OUTPUT[0]]
    assert all(np.isfinite(t.numpy()).all() and t.numpy().std() > 0.1 for t in sets[-1])


def test_the_next_layout_of_the_same_weights_takes_the_same_memory() -> None:
    makes = ArgumentSets()
    first = makes.of([INPUT, ((16, 1000), "float32"), OUTPUT], [1])
    second = makes.of([INPUT, ((4, 1000, 4), "float32"), OUTPUT], [1])
    assert addresses(first, 1) == addresses(second, 1)
    assert second[0][0] is first[0][0] and second[0][2] is first[0][2]
    other = makes.of([((5,), "float32"), ((4, 1000, 4), "float32"), OUTPUT], [1])
    assert tuple(other[0][0].shape) == (5,)


def test_larger_weights_get_more_memory_and_much_larger_ones_give_it_back() -> None:
    makes = ArgumentSets()
    for count in (1 << 10, 1 << 20, 1 << 10):
        sets = makes.of([((count,), "float32"), OUTPUT], [0])
        assert len(sets) == (1 if count == 1 << 20 else MAX_COPIES)
        held = makes._weights["float32"].nbytes
        assert 4 * count * len(sets) <= held <= 4 * COLD_BYTES * 9 // 8


def test_each_type_of_weight_has_values_of_its_own() -> None:
    [first, *_] = ArgumentSets().of([((9, 9), "float16"), ((9, 9), "float32"), ((7,), "int64"), OUTPUT], [0, 1, 2])
    assert [str(t.dtype) for t in first] == ["float16", "float32", "int64", "float32"]
    assert all(np.abs(t.numpy()).max() < 10 for t in first)


def test_without_weights_there_is_one_set() -> None:
    assert len(ArgumentSets().of([INPUT, OUTPUT], [])) == 1


def test_no_more_is_drawn_at_random_than_a_pattern_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = arguments.random_array

    def random_array(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        drawn.append(math.prod(shape))
        return draw(random, shape, dtype)

    monkeypatch.setattr(arguments, "random_array", random_array)
    [[made]] = arguments.ArgumentSets().of([((3, 1 << 20), "float16")], [])
    values = made.numpy().astype("float32")
    assert values.shape == (3, 1 << 20) and values.std() > 0.5
    assert max(drawn) <= 1 << 20
