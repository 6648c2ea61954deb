"""Small ONNX models on their way through the graph's passes, and compiled."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax, tirx

import targets
from compiler.build import Built, compile_model
from compiler.frontend import Model, import_model, random_inputs, run_reference
from compiler.runtime.threads import ComputeThread
from tests.frontend.graphs_for_tests import graph, loaded, node, values

_numbers = itertools.count()

__all__ = ["graph", "loaded", "node", "values"]


def conv(name: str, data: str, out: str, **attributes: Any) -> onnx.NodeProto:
    """A convolution with the weight `name`; 3x3 with padding 1 unless `attributes` say otherwise."""
    return node("Conv", [data, name], [out], **{"pads": [1, 1, 1, 1], **attributes})


def weight(seed: int, *shape: int) -> np.ndarray:
    """A weight that keeps the size of what it multiplies."""
    return values(seed, *shape) / np.float32(np.sqrt(np.prod(shape[1:])))


def module(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int],
    outputs: Sequence[str] = ("y",),
    weights: Mapping[str, np.ndarray] | None = None,
    **options: Any,
) -> Model:
    """The model with one input `x` of `shape`."""
    return loaded(graph(nodes, [("x", list(shape))], outputs, dict(weights or {}), **options), folder)


def imported(model: Model) -> tvm.IRModule:
    return import_model(model)


def calls(mod: tvm.IRModule) -> list[str]:
    """What `main` calls, in order: operators without `relax.`, functions by name."""
    found = []
    for block in mod["main"].body.blocks:
        for binding in block.bindings:
            value = binding.value
            if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op):
                name = str(value.op.name).removeprefix("relax.")
                found.append(str(value.args[0].name_hint) if name == "call_tir" else name)
    return found


def kernels(mod: tvm.IRModule) -> list[str]:
    """Names of the functions of a lowered module."""
    return sorted(g.name_hint for g, f in mod.functions.items() if isinstance(f, tirx.PrimFunc))


def constants(mod: tvm.IRModule) -> list[np.ndarray]:
    found: list[np.ndarray] = []

    def visit(expr: relax.Expr) -> None:
        if isinstance(expr, tvm.ir.GenericConst):
            found.append(expr.value.numpy())

    relax.analysis.post_order_visit(mod["main"], visit)
    return found


def run_library(library: Path, arguments: Sequence[np.ndarray], threads: ComputeThread) -> list[np.ndarray]:
    """The outputs of a compiled model's `main`."""

    def call() -> list[np.ndarray]:
        machine = relax.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())
        return _flatten(machine["main"](*[tvm.runtime.tensor(a) for a in arguments]))

    return threads.call(call)


def _flatten(result: Any) -> list[np.ndarray]:
    return [result.numpy()] if hasattr(result, "numpy") else [a for field in result for a in _flatten(field)]


def run_compiled(
    model: Model, folder: Path, threads: ComputeThread, inputs: Mapping[str, np.ndarray], **options: Any
) -> tuple[Built, list[np.ndarray]]:
    """The model compiled for this machine, and its outputs for `inputs` (narrowed to what the library takes)."""
    # A name of its own: a library that is still loaded is found by its name, whatever the file holds by now.
    built = compile_model(model, targets.get("native"), folder / f"library{next(_numbers)}.so", **options)
    arguments = [inputs[spec.name].astype(spec.dtype) for spec in built.inputs]
    outputs = run_library(built.library, arguments, threads)
    assert [(o.shape, str(o.dtype)) for o in outputs] == [(s.shape, s.dtype) for s in built.outputs]
    return built, outputs


def assert_like_onnxruntime(
    model: Model, folder: Path, threads: ComputeThread, tolerance: float = 1e-5, **options: Any
) -> Built:
    """Every output equals ONNX Runtime's up to `tolerance` of its largest element."""
    inputs = random_inputs(model.inputs, 3)
    expected = run_reference(model, inputs, threads=1)
    built, outputs = run_compiled(model, folder, threads, inputs, **options)
    for spec, found in zip(built.outputs, outputs, strict=True):
        wanted = expected[spec.name]
        assert found.shape == wanted.shape, spec.name
        if wanted.dtype.kind != "f":
            np.testing.assert_array_equal(found, wanted, err_msg=spec.name)
            continue
        assert np.isfinite(wanted).all() and np.ptp(wanted) > 0, "a reference that tells right from wrong"
        error = np.abs(found.astype("float64") - wanted).max()
        assert error <= tolerance * max(1e-3, np.abs(wanted).max()), f"{spec.name} is off by {error:.3g}"
    return built
