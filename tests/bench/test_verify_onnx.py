"""Verification of real models against ONNX Runtime, and the inputs that it is done on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from compiler.bench.compare import NO_SPREAD
from compiler.bench.probes import probe_inputs
from compiler.bench.verify import onnx_reference, verify, verify_model
from compiler.frontend import load, random_inputs
from compiler.tensors import TensorSpec
from tests.runtime import small


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_probes_are_seeded_images_with_structure() -> None:
    specs = [
        TensorSpec("nchw", (2, 3, 32, 48), "float32"),
        TensorSpec("nhwc", (1, 32, 48, 3), "float16"),
        TensorSpec("ids", (1, 3, 16, 16), "int64"),
        TensorSpec("features", (1, 16), "float32"),
        TensorSpec("tiny", (1, 8, 4, 4), "float32"),
    ]
    first, second = probe_inputs(specs, 2, seed=3)
    again = probe_inputs(specs, 1, seed=4)[0]
    drawn = random_inputs(specs, 3)
    for spec in specs:
        assert (first[spec.name].shape, first[spec.name].dtype.name) == (spec.shape, spec.dtype)
        assert np.array_equal(second[spec.name], again[spec.name])
    for name in ("ids", "features", "tiny"):
        assert np.array_equal(first[name], drawn[name])
    for patch in (first["nchw"][0, 1, :8, :12], first["nhwc"][0, :8, :12, 2]):
        assert patch.astype("float32").std() < 0.5 < first["nchw"].std()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(small.onnx_model(), path)
    return path


def test_against_onnx_runtime(path: Path) -> None:
    model = load(str(path))
    reference = onnx_reference(model, threads=1)
    assert reference.classifier == "y"
    assert reference.logits is not None
    inputs = random_inputs(model.inputs, 0)
    probabilities, logits = reference.run(inputs)["y"], reference.logits(inputs)["y"]
    np.testing.assert_allclose(softmax(np.array(logits)), probabilities, rtol=1e-5)
    verification = verify_model(reference.run, model.inputs, model, "fp32", count=2, threads=1)
    assert verification.ok
    assert verification.accuracy.inputs == 2
    assert verification.accuracy.top1_agreement == 1.0

    def wrong(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(reference.run({"x": given["x"] * 1.01}))

    assert not verify_model(wrong, model.inputs, model, "fp32", count=2, threads=1).ok


@pytest.mark.parametrize(("scale", "problems"), [(12.0, ()), (1000.0, (NO_SPREAD,))])
def test_a_saturated_onnx_model_is_seen_through_or_refused(
    tmp_path: Path, scale: float, problems: tuple[str, ...]
) -> None:
    onnx.save(small.onnx_model(scale=scale), tmp_path / "hot.onnx")
    model = load(str(tmp_path / "hot.onnx"))
    reference = onnx_reference(model, threads=1)
    inputs = [random_inputs(model.inputs, seed) for seed in range(3)]
    assert min(reference.run(given)["y"].max() for given in inputs) > 0.9999
    assert verify(reference.run, model.inputs, reference, inputs, "fp32").problems == problems


def test_a_model_without_inputs_is_compared_by_its_outputs(tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.random.default_rng(0).normal(size=(4, 5)).astype("float32"), "w")
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (4, 5))
    made = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["w"], ["y"])], "constant", [], [out], [weight])
    imports = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(made, opset_imports=imports, ir_version=8), tmp_path / "constant.onnx")
    model = load(str(tmp_path / "constant.onnx"))
    right = onnx_reference(model, threads=1).run
    assert verify_model(right, [], model, "fp32", threads=1).ok
    wrong = verify_model(lambda given: {"y": right(given)["y"] * 1.01}, [], model, "fp32", threads=1)
    assert "off by" in wrong.problems[0]
