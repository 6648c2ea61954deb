"""Algorithms of convolutions: which apply, which is chosen, and that every kernel is the task it is counted as."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
import tvm
from hypothesis import given
from hypothesis import strategies as st

from compiler.frontend import load
from compiler.graph.algorithms import Algorithm, Convolution, candidates, choose, estimate
from compiler.graph.filling import filling
from compiler.graph.pipeline import lay_out, lower
from compiler.graph.scheduling import as_task
from compiler.graph.variants import Layer, Task, Variants, calls, expand
from compiler.records.workload import workload_of
from compiler.runtime.threads import ComputeThread
from tests.graph.graphs import assert_like_onnxruntime, conv, imported, module, node, weight
from tests.schedules import hardware_for_tests as hw

DIRECT, TWO, FOUR = Algorithm.DIRECT, Algorithm.WINOGRAD_2, Algorithm.WINOGRAD_4

CONVOLUTIONS = st.builds(
    Convolution,
    n=st.integers(1, 8),
    oh=st.integers(1, 64),
    ow=st.integers(1, 64),
    ci=st.sampled_from([1, 3, 16, 64, 512]),
    co=st.sampled_from([1, 16, 64, 512]),
    kernel=st.sampled_from([(1, 1), (3, 3), (5, 5), (1, 3)]),
    stride=st.sampled_from([(1, 1), (2, 2)]),
    dilation=st.sampled_from([(1, 1), (2, 2)]),
    groups=st.just(1),
)


@given(CONVOLUTIONS)
def test_the_choice_is_the_cheapest_candidate(found: Convolution) -> None:
    offered = candidates(found)
    assert offered[0] is DIRECT
    chosen = choose(found)
    assert chosen in offered
    assert estimate(found, chosen) == min(estimate(found, a) for a in offered) > 0
    if found.kernel not in ((3, 3), (5, 5)) or found.stride != (1, 1) or found.dilation != (1, 1):
        assert offered == [DIRECT]


def test_winograd_is_for_dense_3x3_and_5x5() -> None:
    base = {"n": 1, "oh": 28, "ow": 28, "ci": 64, "co": 64, "kernel": (3, 3), "stride": (1, 1), "dilation": (1, 1)}
    assert candidates(Convolution(**base, groups=1)) == [DIRECT, TWO, FOUR]
    assert candidates(Convolution(**base, groups=4)) == [DIRECT, TWO, FOUR]
    assert candidates(Convolution(**base, groups=64)) == [DIRECT]
    assert candidates(Convolution(**{**base, "kernel": (5, 5)}, groups=1)) == [DIRECT, TWO]
    assert choose(Convolution(**base, groups=1)) is not DIRECT
    assert [a.tile for a in Algorithm] == [0, 2, 4, 0]
    assert Convolution(**base, groups=1).flops == 2 * 28 * 28 * 64 * 64 * 9


# ---- tasks and layers

W = {name: weight(i, 16, 16, 3, 3) for i, name in enumerate("abcdef")}
W1 = {"one": weight(9, 16, 16, 1, 1), "two": weight(10, 16, 32, 3, 3)}


def one(name: str, data: str, out: str) -> object:
    return conv(name, data, out, pads=[0] * 4)


GRAPHS = {
    "chain": [
        conv("a", "x", "t1"),
        node("Relu", ["t1"], ["t2"]),
        conv("b", "t2", "t3"),
        one("one", "t3", "t4"),
        conv("c", "t4", "y"),
    ],
    "residual": [
        conv("a", "x", "t1"),
        node("Relu", ["t1"], ["t2"]),
        conv("b", "t2", "t3"),
        node("Add", ["t3", "x"], ["t4"]),
        node("Relu", ["t4"], ["t5"]),
        conv("c", "t5", "t6"),
        conv("d", "t6", "t7"),
        node("Add", ["t5", "t7"], ["y"]),
    ],
    "a sum of two convolutions": [
        conv("a", "x", "t1"),
        conv("b", "x", "t2"),
        node("Add", ["t1", "t2"], ["t3"]),
        node("Relu", ["t3"], ["t4"]),
        conv("c", "t4", "t5"),
        one("one", "t4", "t6"),
        node("Add", ["t6", "t5"], ["y"]),
    ],
    "branches": [
        conv("a", "x", "t1"),
        node("Relu", ["t1"], ["r1"]),
        one("one", "r1", "t2"),
        node("Relu", ["t2"], ["r2"]),
        conv("b", "r2", "t3"),
        conv("c", "r1", "t4"),
        node("MaxPool", ["r1"], ["p"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        conv("d", "p", "t5"),
        node("Concat", ["t3", "t4"], ["cat"], axis=1),
        conv("two", "cat", "t6"),
        node("Add", ["t6", "t5"], ["y"]),
    ],
    "one weight twice": [
        conv("a", "x", "t1"),
        node("Relu", ["t1"], ["t2"]),
        conv("a", "t2", "t3"),
        node("Relu", ["t3"], ["t4"]),
        conv("b", "t4", "y"),
    ],
    "an output in between": [conv("a", "x", "t1"), node("Relu", ["t1"], ["z"]), conv("b", "z", "y")],
}


def laid_out(name: str, folder: Path, batch: int = 1) -> tvm.IRModule:
    outputs = ["y", "z"] if name == "an output in between" else ["y"]
    model = module(folder, GRAPHS[name], (batch, 16, 8, 8), outputs, weights={**W, **W1})
    return lay_out(imported(model))


def assignments(convolutions: list[Convolution], count: int) -> list[tuple[Algorithm, ...]]:
    """Some of the ways to choose an algorithm for each convolution, the uniform ones among them."""
    everything = list(itertools.product(*(candidates(c) for c in convolutions)))
    uniform = [tuple(a if a in candidates(c) else DIRECT for c in convolutions) for a in Algorithm]
    return [*uniform, *random.Random(0).sample(everything, min(count, len(everything)))]


@pytest.mark.parametrize("name", GRAPHS)
def test_every_kernel_of_any_choice_is_the_task_of_its_layer(name: str, tmp_path: Path) -> None:
    mod = laid_out(name, tmp_path)
    found = expand(mod, "float32", fill=filling(hw.AVX2))
    assert [layer.conv for layer in found.layers].count(None) + len(found.convolutions) == len(found.layers)
    for layer in found.layers:
        offered = candidates(found.convolutions[layer.conv]) if layer.conv is not None else [DIRECT]
        assert list(layer.tasks) == offered
        assert len(set(layer.tasks.values())) == len(offered), "each algorithm is a task of its own"
    by_conv = {layer.conv: layer for layer in found.layers if layer.conv is not None}
    others = sorted(layer.tasks[DIRECT] for layer in found.layers if layer.conv is None)
    for chosen in assignments(found.convolutions, 4):
        lowered = lower(mod, "float32", lambda index, _, chosen=chosen: chosen[index], fill=filling(hw.AVX2))
        assert lowered.algorithms == list(chosen)
        seen = []
        for function, index in calls(lowered):
            digest = workload_of(as_task(lowered.mod[function])).hash
            assert digest in found.tasks
            if index is None:
                seen.append(digest)
            else:
                assert digest == by_conv[index].tasks[chosen[index]], f"{name}: convolution {index} of {chosen}"
        assert sorted(seen) == others


@pytest.mark.parametrize("name", ["a sum of two convolutions", "branches"])
def test_any_choice_computes_the_same(name: str, tmp_path: Path, threads: ComputeThread) -> None:
    """The kernels that stand behind the choice, end to end; both Winograd sizes in one model."""
    model = module(tmp_path, GRAPHS[name], (1, 16, 8, 8), weights={**W, **W1})
    built = assert_like_onnxruntime(model, tmp_path, threads)
    assert sum(built.algorithms.values()) == sum(n.op_type == "Conv" for n in GRAPHS[name])
    assert built.layout_transforms == 2


def test_calls_count_how_often_a_kernel_runs(tmp_path: Path) -> None:
    found = expand(laid_out("chain", tmp_path), "float32")
    by_name: dict[str, int] = {}
    for task in found.tasks.values():
        by_name[task.name] = by_name.get(task.name, 0) + task.calls
    # a with its relu; b and c are one kernel, called twice.
    assert sorted(t.calls for t in found.tasks.values() if "winograd" in t.name) == [1, 1, 2, 2]
    named = [t.name for t in found.tasks.values() if "winograd" in t.name]
    assert len(set(named)) == 4 and sum("2x2" in name for name in named) == sum("4x4" in name for name in named) == 2
    twice = expand(laid_out("one weight twice", tmp_path), "float32")
    assert sorted(t.calls for t in twice.tasks.values() if "winograd" in t.name) == [1, 1, 2, 2]


def test_storage_and_batch_are_part_of_a_task(tmp_path: Path) -> None:
    first = expand(laid_out("chain", tmp_path), "float32").tasks
    half = expand(laid_out("chain", tmp_path), "float16").tasks
    batch = expand(laid_out("chain", tmp_path, 2), "float32").tasks
    again = expand(laid_out("chain", tmp_path), "float32").tasks
    convolutions = {h for h, t in first.items() if "conv2d" in t.name}
    assert not convolutions & set(half) and not set(first) & set(batch)
    assert list(again) == list(first), "the same model has the same tasks in the same order"


def test_a_builtin_model_maps_all_its_layers() -> None:
    found = expand(lay_out(imported(load("squeezenet"))), "float32", fill=filling(hw.AVX2))
    convolutions = [layer for layer in found.layers if layer.conv is not None]
    assert len(convolutions) == len(found.convolutions) == 26
    assert [layer.conv for layer in convolutions] == sorted(layer.conv for layer in convolutions)
    assert all(layer.tasks for layer in found.layers)
    assert {h for layer in found.layers for h in layer.tasks.values()} == set(found.tasks)


# ---- choosing by measured seconds

CONV = Convolution(1, 28, 28, 64, 64, (3, 3), (1, 1), (1, 1), 1)


def variants() -> Variants:
    """Two layers with a choice that share no kernel, and a pool that the model runs between them."""
    layers = [
        Layer(0, {DIRECT: "d0", TWO: "t0", FOUR: "f0"}),
        Layer(None, {DIRECT: "pool"}),
        Layer(1, {DIRECT: "d1", TWO: "t1", FOUR: "f1"}),
    ]
    tasks = {h: Task(h, tvm.IRModule(), h, 1) for layer in layers for h in layer.tasks.values()}
    return Variants(tasks, layers, [CONV, CONV])


def test_the_fastest_measured_algorithm_is_chosen() -> None:
    found = variants()
    estimated = choose(CONV)
    assert found.algorithm(0, {}) is estimated
    assert found.algorithm(0, {"d1": 1.0, "t1": 2.0}) is estimated, "another layer's times say nothing"
    assert found.algorithm(0, {"d0": 1.0, "t0": 2.0}) is DIRECT
    assert found.algorithm(0, {"d0": 2.0, "t0": 1.0, "f0": 3.0}) is TWO
    assert found.algorithm(1, {"d0": 2.0, "t0": 1.0, "d1": 1.0, "f1": 0.5}) is FOUR
    other = next(a for a in Algorithm if a is not estimated)
    only = found.layers[0].tasks[other]
    assert found.algorithm(0, {only: 1.0}) is other, "better a measured one than the estimate"


def test_the_latency_is_the_sum_of_the_fastest() -> None:
    found = variants()
    seconds = {"d0": 3.0, "t0": 2.0, "pool": 0.5}
    assert found.latency({}) is None
    assert found.latency(seconds) is None, "a layer without any measurement"
    assert found.latency({**seconds, "f1": 1.0}) == 3.5
    assert found.latency({**seconds, "f1": 1.0, "d1": 0.25}) == 2.75
