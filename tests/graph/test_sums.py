"""Long sums: nearer to the truth than numbers added up one by one, whatever the axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.graph.kernels.sums import LONG, _parts, length_of
from compiler.graph.pipeline import lay_out, lower
from compiler.runtime.threads import ComputeThread
from tests.graph.graphs import graph, imported, kernels, loaded, node, run_compiled

CASES: list[tuple[tuple[int, ...], list[int], int]] = [
    ((2, 512, 24), [1], 0),  # a normalisation's, over rows
    ((2, 24, 512), [2], 1),
    ((3, 509, 8), [1], 1),  # a prime: the last part is shorter
    ((2, 16, 20, 21), [2, 3], 1),  # a large picture's average
    ((2, 7, 40, 3), [0, 2, 3], 0),
    ((1, 5000), [0, 1], 0),
    ((3, 40000), [1], 0),
]


@pytest.mark.parametrize("kind", ["ReduceSum", "ReduceMean"])
def test_a_long_sum_is_as_near_as_it_can_be(kind: str, tmp_path: Path, threads: ComputeThread) -> None:
    """All but equal numbers, whose roundings go the same way: one by one, half of their number would remain."""
    nodes, inputs, feeds = [], [], {}
    for k, (shape, axes, keepdims) in enumerate(CASES):
        nodes += [node("Mul", [f"x{k}", f"x{k}"], [f"s{k}"])]
        nodes += [node(kind, [f"s{k}"], [f"y{k}"], axes=axes, keepdims=keepdims)]
        inputs.append((f"x{k}", list(shape)))
        feeds[f"x{k}"] = (0.7 + 0.003 * np.random.default_rng(k).integers(0, 2, shape)).astype("float32")
    model = loaded(graph(nodes, inputs, [f"y{k}" for k in range(len(CASES))], {}, opset=11), tmp_path)
    names = kernels(lower(lay_out(imported(model)), "float32").mod)
    fused = [name for name in names if name.startswith("fused_multiply")]
    assert len(fused) >= len(CASES) - 1, f"the products are fused into the sums: {names}"
    built, outputs = run_compiled(model, tmp_path, threads, feeds)
    order = [int(spec.name.removeprefix("y")) for spec in built.outputs]
    for k, found in zip(order, outputs, strict=True):
        _, axes, keepdims = CASES[k]
        exact = (feeds[f"x{k}"].astype("float64") ** 2).sum(axis=tuple(axes), keepdims=bool(keepdims))
        if kind == "ReduceMean":
            exact /= length_of(CASES[k][0], axes)
        assert np.abs(found / exact - 1).max() < 2e-6, CASES[k]
        if length_of(CASES[k][0], axes) < 1000:
            assert np.abs(found / exact - 1).max() < 1e-6, CASES[k]


def test_a_short_one_is_left_as_it_is(tmp_path: Path) -> None:
    def lowered(size: int, parts: bool) -> str:
        nodes = [node("ReduceSum", ["x"], ["y"], axes=[1], keepdims=0)]
        model = loaded(graph(nodes, [("x", [2, size])], ["y"], {}, opset=11), tmp_path)
        [function] = [
            f
            for f in lower(lay_out(imported(model)), "float32", sums_in_parts=parts).mod.functions.values()
            if "parts" in str(f) or "x_red" in str(f)
        ]
        return str(function)

    assert '"parts"' in lowered(LONG, True)
    assert '"parts"' not in lowered(LONG - 1, True) + lowered(LONG, False)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=4), st.data())
def test_parts_are_about_as_long_as_there_are_many(shape: list[int], data: st.DataObject) -> None:
    axes = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    split, part = _parts(shape, axes)
    assert split in axes and 1 <= part <= shape[split]
    within = part * length_of(shape, [axis for axis in axes if axis > split])
    length = length_of(shape, axes)
    assert within <= 3 * length**0.5 + 2 and -(-length // within) <= 3 * length**0.5 + 4
