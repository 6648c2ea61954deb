"""Which tensors of a model float16 cannot hold, and how the compiler is told to keep them wide.

ONNX Runtime computes the model in float32 on sample inputs and says how large each tensor becomes. What becomes too
large is marked in the graph, since no name of a tensor survives the import: with a Clip to bounds that no float32 but
the largest reaches, which no other graph has. `compiler.graph.passes.half_activations` takes the marks off again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compiler.errors import EdgetuneError
from compiler.frontend.graphs import Names, all_graphs
from compiler.frontend.infer import infer
from compiler.frontend.model import Model
from compiler.frontend.reference import ort_session
from compiler.tensors import TensorSpec

HALF_MAX = float(np.finfo(np.float16).max)
MARGIN = 4.0
"""Other inputs than the sampled ones make larger values: a tensor is kept wide from this part of HALF_MAX on."""
MARK = float(np.nextafter(np.finfo(np.float32).max, np.float32(0)))
SAMPLES = 4
_MOST_AT_ONCE = 4  # images: what a tensor holds of one does not depend on the others


def overflowing(model: Model, samples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, float]:
    """The tensors of `model.cleaned` that float16 cannot hold with MARGIN to spare, and the largest magnitude of
    each.

    `samples` are inputs by name. A NaN or an infinity counts as the largest float32. Raises EdgetuneError where ONNX
    Runtime cannot run the model.
    """
    measuring, tensors = _measuring(model.cleaned)
    if not tensors:
        return {}
    session = ort_session(measuring)
    largest, infinite = np.zeros(len(tensors)), float(np.finfo(np.float32).max)
    for sample in samples:
        try:
            found = [float(value) for value in session.run(None, dict(sample))]
        except Exception as error:
            raise EdgetuneError(f"{model.name}: ONNX Runtime failed on sample inputs: {error}") from error
        largest = np.maximum(largest, np.where(np.isfinite(found), found, infinite))
    return {name: float(value) for name, value in zip(tensors, largest, strict=True) if value > HALF_MAX / MARGIN}


def few_images(model: Model) -> Model:
    """`model` at a batch small enough to be computed on a CPU, where its batch is large."""
    if model.batch is None or model.batch <= _MOST_AT_ONCE:
        return model
    from compiler.frontend import load  # not the module of that name

    try:
        shapes = {spec.name: _few(spec, model.batch) for spec in model.inputs}
        return load(model.source, batch=_MOST_AT_ONCE, shapes=shapes, seed=model.seed or 0)
    except EdgetuneError:  # a model of this batch only
        return model


def marked(model: Model, tensors: Sequence[str]) -> Model:
    """`model` with marks behind `tensors` of its cleaned graph, for the importer."""
    if not tensors:
        return model
    proto = onnx.ModelProto()
    proto.CopyFrom(model.cleaned)
    names = Names(proto.graph)
    low, high = names.fresh("edgetune_lowest"), names.fresh("edgetune_highest")
    opset = next((i.version for i in proto.opset_import if i.domain in ("", "ai.onnx")), 13)
    bounds: dict[str, float] = {} if opset >= 11 else {"min": -MARK, "max": MARK}
    given = [low, high] if opset >= 11 else []
    for name, value in zip(given, (-MARK, MARK), strict=False):
        proto.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    renamed = {name: names.fresh(f"{name}_wide") for name in tensors}
    for graph in all_graphs(proto.graph):
        for node in graph.node:
            for index, name in enumerate(node.input):
                if name in renamed:
                    node.input[index] = renamed[name]
    nodes: list[onnx.NodeProto] = [
        helper.make_node("Clip", [name, *given], [renamed[name]], **bounds)
        for name in tensors
        if not any(name in node.output for node in proto.graph.node)
    ]
    for node in proto.graph.node:
        nodes.append(node)
        nodes += [
            helper.make_node("Clip", [name, *given], [renamed[name]], **bounds)
            for name in node.output
            if name in renamed
        ]
    copied = onnx.GraphProto()
    copied.node.extend(nodes)
    del proto.graph.node[:]
    proto.graph.node.MergeFrom(copied.node)
    wide = dataclasses.replace(model)
    wide.__dict__["cleaned"] = proto  # in the place of what the property would make
    return wide


def _few(spec: TensorSpec, batch: int) -> tuple[int, ...]:
    return (_MOST_AT_ONCE, *spec.shape[1:]) if spec.shape[:1] == (batch,) else spec.shape


def _measuring(cleaned: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """A graph that gives the largest magnitude of every float tensor of `cleaned`, and the names of these."""
    known = infer(cleaned, cleaned.graph.name or "the model")
    proto = onnx.ModelProto()
    proto.CopyFrom(cleaned)
    graph = proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    tensors = [value.name for value in graph.input if value.name not in weights]
    tensors += [name for node in graph.node for name in node.output if name]
    floats = [name for name in tensors if name in known and known[name].type.tensor_type.elem_type == TensorProto.FLOAT]
    names = Names(graph)
    del graph.output[:]
    for name in floats:
        magnitude, largest = names.fresh(f"{name}_magnitude"), names.fresh(f"{name}_largest")
        graph.node.append(helper.make_node("Abs", [name], [magnitude]))
        graph.node.append(helper.make_node("ReduceMax", [magnitude], [largest], keepdims=0))
        graph.output.append(helper.make_tensor_value_info(largest, TensorProto.FLOAT, []))
    return proto, floats
