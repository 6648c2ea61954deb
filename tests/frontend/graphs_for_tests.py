"""Small ONNX graphs for the front end's tests, and the way of one through import and TVM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compiler.frontend import Model, import_model, load, random_inputs, run_reference

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
Value = tuple[str, Sequence[int | str]]


def values(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto | Value],
    outputs: Sequence[str | onnx.ValueInfoProto],
    weights: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 13,
    ir_version: int = 8,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model; inputs are float32 unless given whole, outputs carry no shape."""
    infos = [
        v if isinstance(v, onnx.ValueInfoProto) else helper.make_tensor_value_info(v[0], FLOAT, v[1]) for v in inputs
    ]
    outs = [v if isinstance(v, onnx.ValueInfoProto) else helper.make_empty_tensor_value_info(v) for v in outputs]
    tensors = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    made = helper.make_graph(list(nodes), "test", infos, outs, tensors)
    for value in made.output:
        if not value.type.HasField("tensor_type"):
            value.type.tensor_type.elem_type = FLOAT
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(made, opset_imports=imports, ir_version=ir_version)


def node(op: str, inputs: Sequence[str], outputs: Sequence[str] = ("y",), **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), list(outputs), **attributes)


def save(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> str:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return str(path)


def loaded(model: onnx.ModelProto, folder: Path, **options: object) -> Model:
    return load(save(model, folder), **options)  # type: ignore[arg-type]


def run_tvm(model: Model, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The model's outputs, imported and compiled by TVM with no schedule at all."""
    import tvm
    from tvm import relax

    executable = tvm.compile(import_model(model), target="llvm")
    machine = relax.VirtualMachine(executable, tvm.cpu())
    result = machine["main"](*[tvm.runtime.tensor(inputs[spec.name]) for spec in model.inputs])
    return [value.numpy() for value in ([result] if hasattr(result, "numpy") else result)]


def assert_same(model: Model, *, tolerance: float = 1e-4, seed: int = 0) -> None:
    """TVM and ONNX Runtime agree on every output of the model."""
    inputs = random_inputs(model.inputs, seed)
    expected = run_reference(model, inputs, threads=1)
    found = run_tvm(model, inputs)
    assert len(found) == len(model.outputs) == len(expected)
    for spec, array in zip(model.outputs, found, strict=True):
        wanted = expected[spec.name]
        assert array.shape == wanted.shape == spec.shape
        assert array.dtype == wanted.dtype == np.dtype(spec.dtype)
        np.testing.assert_allclose(array, wanted, rtol=tolerance, atol=tolerance)
