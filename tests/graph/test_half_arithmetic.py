"""FP16 arithmetic on CPUs that have it: what is chosen, what is computed, and the machine code that it becomes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm

import targets
from compiler.bench.machine_code import Assembly, Loop, faults
from compiler.build import compile_model
from compiler.cpu_front import front_for_cpus
from compiler.frontend import Model, random_inputs, run_reference
from compiler.graph.algorithms import Algorithm, Convolution, candidates, choose
from compiler.graph.filling import filling
from compiler.graph.half_arithmetic import LONGEST, relative_cost, run_of
from compiler.graph.pipeline import lower
from compiler.graph.scheduling import cpu_hardware, zero_trial
from compiler.graph.variants import Variants, expand
from compiler.precision import storage_of
from compiler.runtime.threads import ComputeThread
from tests.command import edgetune_here
from tests.graph.graphs import conv, module, node, run_library, values, weight
from tests.runtime.emulation.board import TARGET, emulated_agent
from tests.schedules.kernels_for_tests import half_case

NATIVE = targets.get("native")
CALCULATES = dataclasses.replace(NATIVE, hardware=dataclasses.replace(NATIVE.hardware, fp16_arithmetic=True))
"""This machine's CPU as if it calculated in FP16: LLVM widens and narrows around each operation where it does not."""


def network(folder: Path) -> Model:
    """What classifiers are made of: convolutions that are wide, pointwise, strided, in groups, depthwise."""
    nodes = [
        conv("first", "x", "t1"),
        node("Relu", ["t1"], ["t2"]),
        node("LRN", ["t2"], ["t3"], size=3),
        conv("strided", "t3", "t4", strides=[2, 2]),
        node("Relu", ["t4"], ["t5"]),
        conv("pointwise", "t5", "t6", pads=[0, 0, 0, 0]),
        node("Add", ["t6", "t5"], ["t7"]),
        node("Relu", ["t7"], ["t8"]),
        conv("depthwise", "t8", "t9", group=32),
        node("Relu", ["t9"], ["t10"]),
        conv("groups", "t10", "t11", group=2),
        conv("square", "t11", "t12"),
        node("MaxPool", ["t12"], ["t13"], kernel_shape=[2, 2], strides=[2, 2]),
        node("AveragePool", ["t12"], ["t14"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Concat", ["t13", "t14"], ["t15"], axis=1),
        node("Flatten", ["t15"], ["t16"]),
        node("Gemm", ["t16", "fc", "bias"], ["t17"]),
        node("Softmax", ["t17"], ["y"], axis=1),
    ]
    weights = {
        "first": weight(1, 32, 3, 3, 3),
        "strided": weight(2, 32, 32, 3, 3),
        "pointwise": weight(3, 32, 32, 1, 1),
        "depthwise": weight(4, 32, 1, 3, 3),
        "groups": weight(5, 32, 16, 3, 3),
        "square": weight(6, 32, 32, 3, 3),
        "fc": weight(7, 64 * 16, 10),
        "bias": values(8, 10),
    }
    return module(folder, nodes, (1, 3, 16, 16), ("t17", "y"), weights=weights, opset=13)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return network(tmp_path_factory.mktemp("model"))


def expanded(model: Model, target: targets.Target) -> Variants:
    laid_out, _, _ = front_for_cpus(model, target, "fp16")
    return expand(laid_out, storage_of("fp16"), filling(cpu_hardware(target)))


def test_the_choice() -> None:
    sizes = {"n": 1, "oh": 14, "ow": 14, "ci": 64, "co": 64, "stride": (1, 1), "dilation": (1, 1)}
    pointwise = Convolution(**sizes, kernel=(1, 1), groups=1, half=True)
    assert candidates(pointwise) == [Algorithm.DIRECT, Algorithm.DIRECT_HALF]
    assert choose(pointwise) is Algorithm.DIRECT_HALF
    for changes in ({"half": False}, {"groups": 2}, {"ci": 3}, {"co": 12}):
        assert candidates(dataclasses.replace(pointwise, **changes)) == [Algorithm.DIRECT]
    square = dataclasses.replace(pointwise, kernel=(3, 3))
    assert candidates(square) == [*candidates(dataclasses.replace(square, half=False)), Algorithm.DIRECT_HALF]


def test_runs_are_even_and_pay() -> None:
    assert [run_of(terms) for terms in (512, 24, 11, 8, 7, 3, 34)] == [16, 12, 11, 8, 0, 0, 0]
    assert all(relative_cost(run_of(terms)) < 1 and run_of(terms) <= LONGEST for terms in range(8, 99) if run_of(terms))


def test_every_algorithm_is_a_task_of_its_layer(model: Model) -> None:
    found = expanded(model, CALCULATES)
    offered = {tuple(layer.tasks) for layer in found.layers if layer.conv is not None}
    assert (Algorithm.DIRECT, Algorithm.DIRECT_HALF) in offered
    assert tuple(Algorithm) in offered
    half = {layer.tasks[Algorithm.DIRECT_HALF] for layer in found.layers if Algorithm.DIRECT_HALF in layer.tasks}
    assert len(half) == 3 and all("half" in found.tasks[digest].name for digest in half)


def test_where_fp16_is_only_stored_nothing_changes(model: Model) -> None:
    for name in ("arm-cortex-a72", "x86-avx2"):
        target = targets.get(name)
        laid_out, _, kept_fp32 = front_for_cpus(model, target, "fp16")
        lowered = lower(laid_out, "float16", fill=filling(cpu_hardware(target)))
        assert not kept_fp32 and not any(conv.half for conv in lowered.convolutions)
        assert Algorithm.DIRECT_HALF not in lowered.algorithms


def test_a_network_computes_the_same(model: Model, threads: ComputeThread, tmp_path: Path) -> None:
    built = compile_model(model, CALCULATES, tmp_path / "half.so", precision="fp16")
    assert built.algorithms["direct-fp16"] >= 2
    half = [name for name in built.kernels if "conv2d_half" in name]
    assert half and all(name.endswith("_prepacked") for name in half)
    inputs = random_inputs(model.inputs, 1)
    expected = run_reference(model, inputs, threads=1)
    logits, probabilities = run_library(built.library, [inputs["x"]], threads)
    error = np.abs(logits - expected["t17"]).max() / np.abs(expected["t17"]).max()
    assert 1e-6 < error < 5e-3
    np.testing.assert_allclose(probabilities, expected["y"], atol=5e-3)


def hot_loop(name: str) -> Loop:
    """The hot loop of a convolution with no tuning."""
    target = targets.get(name, 1)
    sch = zero_trial(half_case((1, 14, 14, 64), 128, pads=(1,)).task, cpu_hardware(target))
    module = tvm.compile(sch.mod, target=target.to_tvm())
    return Assembly(module.mod.inspect_source("asm"), target.family).hot_loops("main")[0]


@pytest.mark.parametrize(
    ("name", "unit"), [("arm-cortex-a76", "v.8h"), ("arm-cortex-a78ae", "v.8h"), ("x86-sapphirerapids", "zmm")]
)
def test_the_hot_loop_multiplies_whole_vectors_of_fp16(name: str, unit: str) -> None:
    loop = hot_loop(name)
    assert set(loop.units) == {unit}
    assert not faults(loop, cpu_hardware(targets.get(name, 1)))


def test_on_an_emulated_board(model: Model, tmp_path: Path) -> None:
    """On a Cortex-A78AE, whose FP16 instructions QEMU has."""
    path, package = tmp_path / "model.onnx", tmp_path / "half.tar"
    onnx.save(model.cleaned, path)
    with emulated_agent("native") as (host, port):
        options = ["--target", TARGET, "--precision", "fp16", "--zero-trial"]
        edgetune_here("compile", str(path), *options, "-o", str(package))
        assert "direct-fp16" in edgetune_here("inspect", str(package)).stdout
        edgetune_here("verify", str(package), "--rpc", f"{host}:{port}")
