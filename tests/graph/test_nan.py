"""A NaN that goes in comes out, where it does in ONNX Runtime; and bounds stay what they are, one instruction each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm

import targets
from compiler.frontend import run_reference
from compiler.graph.filling import filling
from compiler.graph.pipeline import lay_out, lower
from compiler.graph.scheduling import cpu_hardware, schedule_module
from compiler.runtime.threads import ComputeThread
from tests.graph.graphs import (
    assert_like_onnxruntime,
    conv,
    graph,
    imported,
    kernels,
    loaded,
    module,
    node,
    run_compiled,
    values,
    weight,
)
from tests.schedules import hardware_for_tests as hw

SHAPE = (1, 8, 6, 6)
NUMBERS = {"low": np.float32(-0.5), "high": np.float32(0.5), "slope": values(9, 8, 1, 1), "nan": np.float32(np.nan)}

BOUNDS: dict[str, tuple[list[onnx.NodeProto], int]] = {
    "Relu": ([node("Relu", ["x"])], 14),
    "ReLU6": ([node("Clip", ["x", "zero", "six"])], 14),
    "Clip": ([node("Clip", ["x", "low", "high"])], 14),
    "Clip from below": ([node("Clip", ["x", "low"])], 14),
    "Clip from above": ([node("Clip", ["x", "", "high"])], 14),
    "Clip by attributes": ([node("Clip", ["x"], min=0.0, max=6.0)], 10),
    "Clip by a computed bound": ([node("Exp", ["high"], ["e"]), node("Clip", ["x", "low", "e"])], 14),
    "LeakyRelu": ([node("LeakyRelu", ["x"], alpha=0.1)], 14),
    "PRelu": ([node("PRelu", ["x", "slope"])], 14),
    "HardSigmoid": ([node("HardSigmoid", ["x"])], 14),
    "HardSwish": ([node("HardSwish", ["x"])], 14),
    "Elu": ([node("Elu", ["x"])], 14),
    "Sigmoid": ([node("Sigmoid", ["x"])], 14),
    "behind a convolution": ([conv("w", "x", "c"), node("Relu", ["c"])], 14),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_a_nan_stays_one(name: str, tmp_path: Path, threads: ComputeThread) -> None:
    nodes, opset = BOUNDS[name]
    weights = {**NUMBERS, "zero": np.float32(0), "six": np.float32(6), "w": weight(1, 8, 8, 3, 3)}
    model = module(tmp_path, nodes, SHAPE, weights=weights, opset=opset)
    x = 4 * values(2, *SHAPE)
    x[0, ::3, 2, :] = np.nan
    x[0, 1, 0, :2] = -0.0, 0.0
    wanted = run_reference(model, {"x": x})["y"]
    found = run_compiled(model, tmp_path, threads, {"x": x})[1][0]
    assert np.isnan(wanted).sum() >= 18
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op", ["Max", "Min"])
def test_max_and_min_of_two_tensors(op: str, tmp_path: Path, threads: ComputeThread) -> None:
    """The importer reduces over a stack of them."""
    model = loaded(graph([node(op, ["x", "z"])], [("x", (2, 3)), ("z", (3,))], ["y"]), tmp_path)
    assert_like_onnxruntime(model, tmp_path, threads)


def test_both_operands_of_a_bound_hand_a_nan_on(tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [node("ReduceMax", ["z"], ["m"], keepdims=0), node("Clip", ["x", "m"])]
    model = loaded(graph(nodes, [("x", (2, 3)), ("z", (3,))], ["y"]), tmp_path)
    x = np.float32([[1, np.nan, 5], [-1, 2, np.nan]])
    found = run_compiled(model, tmp_path, threads, {"x": x, "z": np.float32([0, 1.5, 1])})[1][0]
    np.testing.assert_array_equal(found, np.float32([[1.5, np.nan, 5], [1.5, 2, np.nan]]))


def test_an_old_clip_is_laid_out_and_fused_like_a_new_one(tmp_path: Path, threads: ComputeThread) -> None:
    """MobileNet of opset 10: convolutions with Clip by attributes between them."""
    nodes = [conv("w", "x", "a"), node("Clip", ["a"], ["b"], min=0.0, max=6.0), conv("w", "b", "y")]
    model = module(tmp_path, nodes, SHAPE, weights={"w": weight(1, 8, 8, 3, 3)}, opset=10)
    found = kernels(lower(lay_out(imported(model)), "float32").mod)
    assert sum("conv2d" in name for name in found) == 2
    assert any("conv2d" in name and "at_most" in name for name in found), found
    built = assert_like_onnxruntime(model, tmp_path, threads)
    assert built.layout_transforms == 2


def test_a_relu_is_one_vector_instruction(tmp_path: Path) -> None:
    """The assembly of a convolution with its ReLU: maxps, and no comparison."""
    nodes = [conv("w", "x", "c"), node("Relu", ["c"])]
    model = module(tmp_path, nodes, (1, 8, 8, 16), weights={"w": weight(1, 16, 8, 3, 3)})
    target = targets.get("x86-avx2")
    lowered = lower(lay_out(imported(model)), "float32", fill=filling(hw.AVX2)).mod
    scheduled = schedule_module(lowered, cpu_hardware(target), lambda task: None)[0]
    (name,) = [g for g in scheduled.get_global_vars() if "relu" in g.name_hint]
    kernel = scheduled[name].with_attr("global_symbol", "main")
    assembly = tvm.compile(tvm.IRModule({"main": kernel}), target=target.to_tvm()).mod.inspect_source("asm")
    assert re.search(r"\bvmaxps\b.*%ymm", assembly)
    assert not re.search(r"\bv(cmp\w*ps|blendvps)\b", assembly)
