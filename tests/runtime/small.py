"""A small real model, its ONNX graph and the library that TVM makes of it, for tests of package, runtime and bench."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import targets
from compiler.linker import linker
from compiler.package import KernelWork, Manifest, ModelInfo, Package, TargetInfo, write
from compiler.runtime import threads as _threads  # noqa: F401  (before TVM computes anything)
from compiler.tensors import TensorSpec

TARGET = "x86-avx2"


def onnx_model(batch: int = 2, softmax: bool = True, scale: float = 1.0) -> onnx.ModelProto:
    """Conv, Relu, GlobalAveragePool, Gemm (, Softmax): `x` (batch, 3, 8, 8) float32 -> `y` (batch, 5) float32."""
    random = np.random.default_rng(7)
    weights = {
        "w": random.normal(size=(4, 3, 3, 3)),
        "b": random.normal(size=4),
        "fc": scale * random.normal(size=(4, 5)),
        "fcb": scale * random.normal(size=5),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "fc", "fcb"], ["logits" if softmax else "y"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["y"], axis=1))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 5])],
        [numpy_helper.from_array(value.astype("float32"), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def compile_library(path: Path, model: onnx.ModelProto) -> None:
    """Compile with stock TVM for `TARGET`, link as edgetune does, and write the shared library to `path`."""
    import tvm
    from tvm.relax.frontend.onnx import from_onnx

    target = targets.get(TARGET).to_tvm()
    with target:
        compiled = tvm.compile(from_onnx(model, keep_params_in_input=False), target)
    compiled.export_library(str(path), fcompile=linker())


def manifest(batch: int = 2, **changes: object) -> Manifest:
    """The manifest of the small model, with `changes`."""
    target = targets.get(TARGET)
    fields: dict[str, object] = {
        "model": ModelInfo(
            name="small", source="small.onnx", sha256="ab" * 32, batch=batch, shapes={"x": (batch, 3, 8, 8)}
        ),
        "inputs": [TensorSpec("x", (batch, 3, 8, 8), "float32")],
        "outputs": [TensorSpec("y", (batch, 5), "float32")],
        "target": TargetInfo(name=TARGET, options=dict(target.options), requires=sorted(target.requires)),
        "fingerprint": targets.fingerprint(target).id,
        "device": targets.device_name(),
        "precision": "fp32",
        "batch": batch,
        "threads": 1,
        "tvm_version": targets.tvm_version(),
        "tool_version": "0.0",
        "created": "2026-01-01T00:00:00+00:00",
        "tasks": 2,
        "untuned": ["conv2d"],
        "kernels": {"conv2d": KernelWork(flops=1e6, bytes=1e4)},
    }
    return Manifest(**{**fields, **changes})  # type: ignore[arg-type]


def package(folder: Path, batch: int = 2, **changes: object) -> Package:
    """Compile the small model and pack it into `folder`."""
    library = folder / "build.so"
    compile_library(library, onnx_model(batch))
    return write(folder / "small.tar", {"library.so": library}, manifest(batch, **changes))


def inputs(batch: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs of the small model."""
    return {"x": np.random.default_rng(seed).normal(size=(batch, 3, 8, 8)).astype("float32")}
