"""ONNX Runtime as the truth: any size of model, the layer before a softmax, and what a classifier is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compiler.errors import EdgetuneError
from compiler.frontend import (
    is_classifier,
    ort_session,
    pre_softmax_reference,
    random_inputs,
    reference,
    reference_path,
    run_reference,
)
from tests.frontend.graphs_for_tests import assert_same, graph, loaded, node, save, values


def classifier(tail: list[onnx.NodeProto] | None = None, **weights: np.ndarray) -> onnx.ModelProto:
    nodes = [
        node("GlobalAveragePool", ["x"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("MatMul", ["f", "w"], ["logits"]),
    ]
    tail = tail or [node("Softmax", ["logits"], ["y"])]
    return graph([*nodes, *tail], [("x", (2, 3, 8, 8))], ["y"], {"w": 50 * values(0, 3, 10), **weights})


def test_large_models_go_through_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {"w": values(0, 64, 64), "v": values(1, 64, 4)}
    model = graph([node("MatMul", ["x", "w"], ["t"]), node("MatMul", ["t", "v"])], [("x", (1, 64))], ["y"], weights)
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].float_data.extend(weights["w"].ravel())
    small = loaded(model, tmp_path)
    inputs = random_inputs(small.inputs)
    expected = run_reference(small, inputs)["y"]
    monkeypatch.setattr(reference, "IN_MEMORY_BYTES", 1)
    np.testing.assert_array_equal(run_reference(small, inputs)["y"], expected)
    with reference_path(small) as path:
        assert (path.parent / "weights.bin").stat().st_size >= weights["w"].nbytes
        assert path.stat().st_size < 2000
        onnx.checker.check_model(str(path))
    assert not path.parent.exists()


def test_threads_are_as_asked(tmp_path: Path) -> None:
    session = ort_session(loaded(classifier(), tmp_path), threads=1)
    assert session.get_session_options().intra_op_num_threads == 1
    assert session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize(
    "tail",
    [
        [node("Softmax", ["logits"], ["y"])],
        [node("Softmax", ["logits"], ["s"]), node("Identity", ["s"], ["y"])],
        [node("Softmax", ["logits"], ["s"]), node("Reshape", ["s", "shape"], ["y"])],
    ],
)
def test_the_layer_before_the_softmax(tail: list[onnx.NodeProto], tmp_path: Path) -> None:
    model = loaded(classifier(tail, shape=np.array([2, 10, 1], np.int64)), tmp_path)
    before = pre_softmax_reference(model)
    assert before is not None
    assert [(spec.name, spec.shape) for spec in before.outputs] == [("logits", (2, 10))]
    inputs = random_inputs(model.inputs)
    logits, chances = run_reference(before, inputs)["logits"], run_reference(model, inputs)["y"].reshape(2, 10)
    wanted = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(chances, wanted / wanted.sum(1, keepdims=True), rtol=1e-5, atol=1e-7)
    assert model.outputs[0].name == "y" and model.reference.graph.output[0].name == "y"
    assert_same(before)


def test_no_softmax_no_inner_layer(tmp_path: Path) -> None:
    assert pre_softmax_reference(loaded(classifier([node("Relu", ["logits"], ["y"])]), tmp_path)) is None


def test_what_a_classifier_is(tmp_path: Path) -> None:
    assert is_classifier(loaded(classifier(), tmp_path))
    assert is_classifier(loaded(classifier([node("Relu", ["logits"], ["y"])]), tmp_path))
    assert not is_classifier(loaded(graph([node("Relu", ["x"])], [("x", (2, 3, 8, 8))], ["y"]), tmp_path))
    assert not is_classifier(loaded(graph([node("Relu", ["x"])], [("x", (2, 3))], ["y"]), tmp_path))
    index = [node("ArgMax", ["logits"], ["y"], axis=1)]
    argmax = classifier(index)
    argmax.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.INT64, (2, 1)))
    assert not is_classifier(loaded(argmax, tmp_path))


def test_what_onnx_runtime_cannot_run_is_one_line(tmp_path: Path) -> None:
    model = loaded(graph([node("LRN", ["x"], size=4)], [("x", (1, 4, 3, 3))], ["y"]), tmp_path)
    with pytest.raises(EdgetuneError, match="ONNX Runtime cannot run") as caught:
        run_reference(model, random_inputs(model.inputs))
    assert "\n" not in str(caught.value)
    with pytest.raises(EdgetuneError, match="failed on these inputs"):
        run_reference(loaded(classifier(), tmp_path), {})


def test_onnx_runtime_tells_nobody_and_leaves_no_file(tmp_path: Path) -> None:
    """Its telemetry starts as it is imported, and writes an identity of the session into the temporary folder."""
    (tmp_path / "temporary").mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment["TMPDIR"] = str(tmp_path / "temporary")
    code = f"from compiler.frontend import load, ort_session; ort_session(load({save(classifier(), tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=Path(__file__).parents[2])
    assert list((tmp_path / "temporary").iterdir()) == []
