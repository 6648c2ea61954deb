"""Peers: real ones, at the settings that they name; those of GPUs on what stands in for one."""

from __future__ import annotations

import builtins
import sys
import types
from typing import Any

import numpy as np
import onnx
import pytest

from compiler.bench.peers import PEERS, open_peer, peer_names, source
from compiler.errors import EdgetuneError, UsageError
from compiler.frontend import load, random_inputs, run_reference
from compiler.frontend.model import Model
from tests.bench import tensorrt_stand_in
from tests.runtime import small

OF_CPUS = ["onnxruntime", "openvino", "torch"]
"""Each is the name of its module, too."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(small.onnx_model(), path)
    return load(str(path))


def installed(name: str) -> None:
    """Skips where the peer is not installed."""
    pytest.importorskip(name)


def agrees(peer: Any, model: Model, seeds: int = 2, rtol: float = 1e-4, atol: float = 1e-6) -> None:
    for seed in range(seeds):
        inputs = random_inputs(model.inputs, seed)
        np.testing.assert_allclose(peer.run(inputs)["y"], run_reference(model, inputs)["y"], rtol=rtol, atol=atol)


def test_the_registry() -> None:
    assert peer_names() == ["onnxruntime", "openvino", "torch", "torch-compile", "onnxruntime-cuda", "tensorrt"]


@pytest.mark.parametrize("name", OF_CPUS)
def test_a_peer_computes_and_is_timed(name: str, model: Model) -> None:
    installed(name)
    peer = open_peer(name, model, 1, "fp32")
    assert (peer.name, peer.precision, tuple(peer.notes)) == (name, "fp32", ())
    assert peer.version and peer.settings
    assert peer.inputs == model.inputs
    agrees(peer, model)
    timing = peer.timed(random_inputs(model.inputs, 5), runs=20, warmup_runs=2)
    assert len(timing.seconds) == 20
    # what was bound for timing does not stick
    agrees(peer, model)
    with pytest.raises(UsageError, match="expected x: float32 2x3x8x8"):
        peer.run({"x": np.zeros((1, 3, 8, 8), "float32")})
    half = {"x": random_inputs(model.inputs, 1)["x"].astype("float16")}
    assert peer.run(half)["y"].dtype.name == "float32"


@pytest.mark.parametrize("name", OF_CPUS)
def test_a_peer_says_what_it_computes_in(name: str, model: Model) -> None:
    installed(name)
    peer = open_peer(name, model, 1, "fp16")
    assert peer.precision in ("fp32", "fp16", "bf16")
    assert bool(peer.notes) == (peer.precision != "fp16")
    assert all(name in note for note in peer.notes)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_large_models_go_through_a_file(name: str, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(name)
    monkeypatch.setattr(source, "IN_MEMORY_BYTES", -1)
    agrees(open_peer(name, model, 1, "fp32"), model, seeds=1)


@pytest.mark.parametrize("name", peer_names())
def test_a_peer_that_is_not_installed(name: str, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    real, peer = builtins.__import__, PEERS[name]
    wanted = name.partition("-")[0]

    def missing(module: str, *args: Any, **more: Any) -> Any:
        if module == wanted:
            raise ImportError(f"No module named {module}")
        return real(module, *args, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(EdgetuneError, match=rf"the peer {name} is not installed: pip install") as error:
        open_peer(name, model, 1, "fp32", peer.devices[-1])
    assert error.value.exit_code == 1


def test_an_onnxruntime_without_cuda_is_not_the_one_that_is_asked_for(model: Model) -> None:
    with pytest.raises(EdgetuneError, match="not installed: pip install onnxruntime-gpu, in place of onnxruntime"):
        open_peer("onnxruntime-cuda", model, 1, "fp32", "cuda")


def test_peers_of_another_device(model: Model) -> None:
    with pytest.raises(
        EdgetuneError, match="openvino computes on cpu, and this package on cuda: take torch, torch-comp"
    ):
        open_peer("openvino", model, 1, "fp32", "cuda")
    with pytest.raises(EdgetuneError, match="tensorrt computes on cuda, and this package on cpu: take onnxruntime, "):
        open_peer("tensorrt", model, 1, "fp32")


def test_unknown_peers(model: Model) -> None:
    with pytest.raises(UsageError, match="no peer 'tensorflow': choose from onnxruntime, openvino"):
        open_peer("tensorflow", model, 1, "fp32")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_onnxruntime_on_a_device_with_bound_values(
    model: Model, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer of GPUs, its provider and its place those of a CPU: which captures no graph."""
    from compiler.bench.peers import onnxruntime_cuda

    monkeypatch.setattr(onnxruntime_cuda, "PROVIDER", "CPUExecutionProvider")
    monkeypatch.setattr(onnxruntime_cuda, "OPTIONS", {})
    peer = onnxruntime_cuda.OnnxRuntimeCuda(model, 1, precision, "cpu")
    assert peer.precision == precision and peer.settings["providers"] == "CPUExecutionProvider"
    if precision == "fp32":
        agrees(peer, model)
    else:
        agrees(peer, model, rtol=2e-2, atol=1e-3)
    assert len(peer.timed(random_inputs(model.inputs, 5), runs=5).seconds) == 5
    agrees(peer, model, rtol=2e-2, atol=1e-3)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> tensorrt_stand_in.Device:
    """A device that stands in for a GPU, with TensorRT."""
    made = tensorrt_stand_in.Device()
    bindings = types.ModuleType("cuda.bindings")
    bindings.runtime = made.runtime()  # type: ignore[attr-defined]
    for name, module in (("cuda", types.ModuleType("cuda")), ("cuda.bindings", bindings)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_stand_in.tensorrt(made))
    return made


@pytest.mark.parametrize("captures", [True, False])
def test_tensorrt_in_the_order_that_it_asks_for(model: Model, device: tensorrt_stand_in.Device, captures: bool) -> None:
    device.captures = captures
    peer = open_peer("tensorrt", model, 1, "fp32", "cuda")
    assert peer.settings["CUDA graph"] == str(int(captures))
    agrees(peer, model)
    assert len(peer.timed(random_inputs(model.inputs, 5), runs=5).seconds) == 5
    agrees(peer, model)


@pytest.mark.parametrize(
    ("refuses", "why"),
    [("parse", "cannot read small: no importer for op Strange"), ("build", "cannot build an engine of small")],
)
def test_what_tensorrt_refuses_is_one_line(
    model: Model, device: tensorrt_stand_in.Device, monkeypatch: pytest.MonkeyPatch, refuses: str, why: str
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_stand_in.tensorrt(device, refuses))
    with pytest.raises(EdgetuneError, match=f"tensorrt {why}"):
        open_peer("tensorrt", model, 1, "fp32", "cuda")


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("tf32", True), ("fp16", False)])
def test_tf32_is_used_only_where_it_is_asked_for(
    model: Model, device: tensorrt_stand_in.Device, monkeypatch: pytest.MonkeyPatch, precision: str, allowed: bool
) -> None:
    """And then it is the FP32 model that is computed so."""
    from compiler.bench.peers import onnxruntime_cuda

    if precision != "fp16":  # the device that stands in for a GPU has FP32 only
        built = open_peer("tensorrt", model, 1, precision, "cuda")
        assert (tensorrt_stand_in.TF32 in device.flags) == allowed
        assert (built.precision, built.settings["TF32"]) == (precision, str(int(allowed)))
        agrees(built, model)
    monkeypatch.setattr(onnxruntime_cuda, "PROVIDER", "CPUExecutionProvider")
    bound = onnxruntime_cuda.OnnxRuntimeCuda(model, 1, precision, "cpu")
    assert (bound.precision, bound.settings["use_tf32"]) == (precision, str(int(allowed)))
    if allowed:
        agrees(bound, model)


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("tf32", True), ("fp16", False)])
def test_tf32_of_pytorch(model: Model, monkeypatch: pytest.MonkeyPatch, precision: str, allowed: bool) -> None:
    """On a stand-in for PyTorch that has its switches, and a GPU."""
    assert model.cleaned  # with nothing in the place of PyTorch, which others look for, too

    class Module:
        def eval(self) -> Module:
            return self

        def to(self, *_: object, **__: object) -> Module:
            return self

    matmul, cudnn = types.SimpleNamespace(), types.SimpleNamespace()
    names = {
        "__version__": "0.0",
        "cuda": types.SimpleNamespace(is_available=lambda: True),
        "backends": types.SimpleNamespace(cudnn=cudnn, cuda=types.SimpleNamespace(matmul=matmul)),
        "device": lambda kind: kind,
        "channels_last": "channels_last",
        "float16": "float16",
        "float32": "float32",
    }
    for name, values in (("torch", names), ("compiler.bench.peers.onnx_torch", {"convert": lambda proto: Module()})):
        module = types.ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    peer = open_peer("torch", model, 1, precision, "cuda")
    assert matmul.allow_tf32 is cudnn.allow_tf32 is allowed
    assert (peer.precision, peer.settings["allow_tf32"]) == (precision, str(int(allowed)))
    assert vars(peer)["_type"] == ("float16" if precision == "fp16" else "float32")
