"""Activations in float16 between kernels: which are, which stay float32, and what the model then computes.

The kernels are a GPU's, scheduled here for the CPU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relax, tirx

import targets
from compiler.build import generate, link
from compiler.cuda.front import LoweredForGpus, lower_for_gpus
from compiler.frontend import Model, random_inputs, run_reference
from compiler.frontend.overflow import HALF_MAX, MARGIN, few_images, marked, overflowing
from compiler.graph.scheduling import hardware_of, schedule_module
from compiler.runtime.threads import ComputeThread
from tests.graph.graphs import conv, module, node, run_library, values, weight

NATIVE = targets.get("native")
SHAPE = (2, 8, 12, 12)


def network(folder: Path, gain: float = 1.0) -> Model:
    """What classifiers are made of; the second convolution's output is `gain` times as large as usual, and divided by
    it again behind its ReLU."""
    nodes = [
        conv("a", "x", "t1"),
        node("Relu", ["t1"], ["t2"]),
        node("LRN", ["t2"], ["t3"], size=3),
        conv("b", "t3", "large"),
        node("Relu", ["large"], ["large_relu"]),
        conv("c", "large_relu", "t4"),
        node("Add", ["t4", "t2"], ["t5"]),
        node("Relu", ["t5"], ["t6"]),
        node("MaxPool", ["t6"], ["t7"], kernel_shape=[2, 2], strides=[2, 2]),
        node("AveragePool", ["t6"], ["t8"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Concat", ["t7", "t8"], ["t9"], axis=1),
        conv("d", "t9", "t10", group=4),
        node("Relu", ["t10"], ["t11"]),
        node("Flatten", ["t11"], ["t12"]),
        node("Gemm", ["t12", "fc", "bias"], ["t13"]),
        node("Softmax", ["t13"], ["y"], axis=1),
    ]
    weights = {
        "a": weight(1, 8, 8, 3, 3),
        "b": weight(2, 8, 8, 3, 3) * np.float32(gain),
        "c": weight(3, 8, 8, 3, 3) / np.float32(gain),
        "d": weight(4, 8, 4, 3, 3),
        "fc": weight(5, 8 * 36, 10),
        "bias": values(6, 10),
    }
    return module(folder, nodes, SHAPE, ("t13", "y"), weights=weights, opset=13)


def on_cpu(lowered: LoweredForGpus, folder: Path, threads: ComputeThread, x: np.ndarray) -> list[np.ndarray]:
    scheduled, _ = schedule_module(lowered.lowered.mod, hardware_of(NATIVE), lambda task: None)
    with NATIVE.to_tvm():
        mod = relax.transform.SplitLayoutRewritePreproc()(scheduled)
        mod = relax.transform.DeadCodeElimination(["main"])(relax.transform.FoldConstant()(mod))
        library = folder / "half.so"
        link(generate(mod, NATIVE.to_tvm()), library, NATIVE)
    return run_library(library, [x], threads)


def stored(mod: tvm.IRModule) -> dict[str, str]:
    """What the kernels of `main` write, by the kernel's name."""
    found = {}
    for block in mod["main"].body.blocks:
        for binding in block.bindings:
            if isinstance(binding.value, relax.Call) and isinstance(binding.var.ty, relax.TensorType):
                callee = binding.value.args[0]
                if hasattr(callee, "name_hint"):
                    found[str(callee.name_hint)] = str(binding.var.ty.dtype)
    return found


def products(mod: tvm.IRModule) -> list[tuple[str, list[str]]]:
    """The convolutions and dense layers, and the types of what they read."""
    return [
        (str(gvar.name_hint), [str(param.dtype) for param in func.params[:2]])
        for gvar, func in sorted(mod.functions.items(), key=lambda pair: pair[0].name_hint)
        if isinstance(func, tirx.PrimFunc) and str(gvar.name_hint).startswith(("fused_conv2d", "conv2d", "fused_dense"))
    ]


def test_a_network_computes_the_same(tmp_path: Path, threads: ComputeThread) -> None:
    model = network(tmp_path)
    lowered = lower_for_gpus(model, "fp16")
    assert not lowered.kept_fp32 and not lowered.lowered.kept_wide
    kinds = stored(lowered.lowered.mod)
    # All but the logits and the probabilities, which are the model's outputs.
    assert list(kinds.values()).count("float32") == 2, kinds
    for name, (data, factor) in products(lowered.lowered.mod)[:]:
        assert factor == "float16", name
        assert data in ("float16", "float32"), name
    inputs = random_inputs(model.inputs, 1)
    expected = run_reference(model, inputs, threads=1)
    logits, probabilities = on_cpu(lowered, tmp_path, threads, inputs["x"])
    error = np.abs(logits - expected["t13"]).max() / np.abs(expected["t13"]).max()
    assert 1e-6 < error < 3e-3
    np.testing.assert_allclose(probabilities, expected["y"], atol=3e-3)
    assert probabilities.dtype == np.float32


def test_in_fp32_nothing_changes(tmp_path: Path) -> None:
    lowered = lower_for_gpus(network(tmp_path), "fp32")
    assert set(stored(lowered.lowered.mod).values()) == {"float32"}
    assert not lowered.kept_fp32


def test_a_tensor_that_float16_cannot_hold_stays_float32(tmp_path: Path, threads: ComputeThread) -> None:
    model = network(tmp_path, gain=1e6)
    lowered = lower_for_gpus(model, "fp16")
    assert set(lowered.kept_fp32) == {"large", "large_relu"}
    assert min(lowered.kept_fp32.values()) > HALF_MAX
    wide = [types for _, types in products(lowered.lowered.mod) if types == ["float32", "float32"]]
    assert len(wide) == 1  # the convolution that reads it
    inputs = random_inputs(model.inputs, 1)
    expected = run_reference(model, inputs, threads=1)["t13"]
    logits, _ = on_cpu(lowered, tmp_path, threads, inputs["x"])
    assert np.abs(logits - expected).max() / np.abs(expected).max() < 3e-3


def test_without_the_check_it_would_overflow(
    tmp_path: Path, threads: ComputeThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compiler.half_front._too_large", lambda model: {})
    model = network(tmp_path, gain=1e6)
    logits, _ = on_cpu(lower_for_gpus(model, "fp16"), tmp_path, threads, random_inputs(model.inputs, 1)["x"])
    assert not np.isfinite(logits).all()


def test_an_input_decides_what_overflows(tmp_path: Path) -> None:
    model = network(tmp_path)
    usual = random_inputs(model.inputs, 1)
    huge: Mapping[str, np.ndarray] = {"x": usual["x"] * np.float32(HALF_MAX)}
    assert overflowing(model, [usual]) == {}
    found = overflowing(model, [usual, huge])
    assert {"x", "t1", "t2"} <= set(found)
    assert "large" not in found  # behind the normalisation
    broken = {"x": np.full(SHAPE, np.nan, np.float32)}
    assert overflowing(model, [broken])["x"] == float(np.finfo(np.float32).max)


def test_there_is_a_margin(tmp_path: Path) -> None:
    model = network(tmp_path)
    x = np.zeros(SHAPE, np.float32)
    x.flat[0] = HALF_MAX / MARGIN * 1.01
    assert set(overflowing(model, [{"x": x}])) >= {"x"}
    x.flat[0] = HALF_MAX / MARGIN * 0.99
    assert "x" not in overflowing(model, [{"x": x}])


def test_marks_are_of_every_opset(tmp_path: Path) -> None:
    model = network(tmp_path)
    for version in (9, 13):
        proto = type(model.cleaned)()
        proto.CopyFrom(model.cleaned)
        proto.opset_import[0].version = version
        old = dataclasses.replace(model)
        old.__dict__["cleaned"] = proto
        nodes = marked(old, ["x", "t2"]).cleaned.graph.node
        clips = [n for n in nodes if n.op_type == "Clip"]
        assert [n.input[0] for n in clips] == ["x", "t2"]
        assert [len(n.input) for n in clips] == ([1, 1] if version < 11 else [3, 3])
        order = [name for n in nodes for name in n.output]
        assert order.index("t2") + 1 == order.index("t2_wide")


def test_large_batches_are_looked_at_by_a_few_images() -> None:
    from compiler.frontend import load

    model = load("squeezenet", batch=128)
    few = few_images(model)
    assert (few.batch, few.inputs[0].shape[1:]) == (4, model.inputs[0].shape[1:])
    assert few_images(few) is few
