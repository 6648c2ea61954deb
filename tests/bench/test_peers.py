"""Peers: real ones, at the settings that they name."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import onnx
import pytest

from compiler.bench.peers import open_peer, peer_names, source
from compiler.errors import EdgetuneError, UsageError
from compiler.frontend import load, random_inputs, run_reference
from compiler.frontend.model import Model
from tests.runtime import small


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(small.onnx_model(), path)
    return load(str(path))


def test_the_registry() -> None:
    assert peer_names() == ["onnxruntime", "openvino"]


@pytest.mark.parametrize("name", peer_names())
def test_a_peer_computes_and_is_timed(name: str, model: Model) -> None:
    pytest.importorskip(name)
    peer = open_peer(name, model, 1, "fp32")
    assert (peer.name, peer.precision, tuple(peer.notes)) == (name, "fp32", ())
    assert peer.version
    assert peer.inputs == model.inputs
    for seed in range(2):
        inputs = random_inputs(model.inputs, seed)
        np.testing.assert_allclose(peer.run(inputs)["y"], run_reference(model, inputs)["y"], rtol=1e-4, atol=1e-6)
    timing = peer.timed(random_inputs(model.inputs, 5), runs=20, warmup_runs=2)
    assert len(timing.seconds) == 20
    # what was bound for timing does not stick
    np.testing.assert_allclose(peer.run(inputs)["y"], run_reference(model, inputs)["y"], rtol=1e-4, atol=1e-6)
    with pytest.raises(UsageError, match="expected x: float32 2x3x8x8"):
        peer.run({"x": np.zeros((1, 3, 8, 8), "float32")})
    half = {"x": inputs["x"].astype("float16")}
    assert peer.run(half)["y"].dtype.name == "float32"


@pytest.mark.parametrize("name", peer_names())
def test_a_peer_says_what_it_computes_in(name: str, model: Model) -> None:
    pytest.importorskip(name)
    peer = open_peer(name, model, 1, "fp16")
    assert peer.precision in ("fp32", "fp16", "bf16")
    assert bool(peer.notes) == (peer.precision != "fp16")
    assert all(name in note for note in peer.notes)


@pytest.mark.parametrize("name", peer_names())
def test_large_models_go_through_a_file(name: str, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(name)
    monkeypatch.setattr(source, "IN_MEMORY_BYTES", -1)
    inputs = random_inputs(model.inputs, 0)
    outputs = open_peer(name, model, 1, "fp32").run(inputs)
    np.testing.assert_allclose(outputs["y"], run_reference(model, inputs)["y"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", peer_names())
def test_a_peer_that_is_not_installed(name: str, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(module: str, *args: Any, **more: Any) -> Any:
        if module == name:
            raise ImportError(f"No module named {module}")
        return real(module, *args, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(EdgetuneError, match=rf"the peer {name} is not installed: pip install") as error:
        open_peer(name, model, 1, "fp32")
    assert error.value.exit_code == 1


def test_unknown_peers(model: Model) -> None:
    with pytest.raises(UsageError, match="no peer 'tensorflow': choose from onnxruntime, openvino"):
        open_peer("tensorflow", model, 1, "fp32")
