"""From what the user names, a file or a built-in model, to a Model with static shapes."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import onnx

from compiler.errors import EdgetuneError, UsageError
from compiler.frontend.builtin import builtin_model
from compiler.frontend.graphs import data_inputs, set_shape, static_shape
from compiler.frontend.infer import check, infer
from compiler.frontend.model import Model
from compiler.frontend.names import LIGHT_GRAPHS
from compiler.frontend.normalise import normalise
from compiler.frontend.operators import check_known, opset_of
from compiler.frontend.passes.widen_half import widen_half
from compiler.frontend.quiet import one_line
from compiler.frontend.read import read_model
from compiler.frontend.reference import session_outputs
from compiler.frontend.shapes import fix_shapes
from compiler.frontend.upgrade import upgrade
from compiler.tensors import TensorSpec


def load(
    source: str, *, batch: int | None = None, shapes: dict[str, tuple[int, ...]] | None = None, seed: int = 0
) -> Model:
    """Loads an ONNX file (a path) or a built-in model (a name of `builtin_names()`), with batch and shapes fixed.

    `batch` replaces the leading dimension of the inputs that carry the batch, `shapes` whole input shapes; `seed`
    draws the weights of a built-in model. Raises UsageError (exit 2) for a wrong name, batch or shape and
    EdgetuneError (exit 1) for a model that cannot be used, each in one line that names the file, input or operator.
    """
    if source in LIGHT_GRAPHS:
        proto, sha256 = builtin_model(source, seed)
        return _finish(
            proto, name=source, source=source, where=source, sha256=sha256, batch=batch, shapes=shapes, seed=seed
        )
    path = Path(source)
    if not os.path.lexists(source) and path.suffix == "" and len(path.parts) == 1:
        close = difflib.get_close_matches(source, LIGHT_GRAPHS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the built-in models are {', '.join(LIGHT_GRAPHS)}"
        raise UsageError(f"{source}: neither a file nor a built-in model; {hint}")
    try:
        proto, sha256 = read_model(path)
        return _finish(
            proto,
            name=path.stem,
            source=str(path.absolute()),
            where=str(path),
            sha256=sha256,
            batch=batch,
            shapes=shapes,
            seed=None,
        )
    except EdgetuneError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        RuntimeError,
        RecursionError,
    ) as error:
        # A damaged file can make any of onnx's helpers stumble (strings that are no UTF-8, attributes of another type).
        raise EdgetuneError(f"{path}: not a valid ONNX graph: {one_line(error)}") from error


def _finish(
    proto: onnx.ModelProto,
    *,
    name: str,
    source: str,
    where: str,
    sha256: str,
    batch: int | None,
    shapes: dict[str, tuple[int, ...]] | None,
    seed: int | None,
) -> Model:
    normalise(proto, where)
    check_known(proto, where)
    check(proto, where)
    upgrade(proto, where)
    fixed = fix_shapes(proto, where, batch, shapes or {}, trusted=seed is not None)
    known = infer(proto, where)
    del proto.graph.value_info[:]
    inputs = [_spec(known[value.name], where) for value in data_inputs(proto.graph)]
    _fix_outputs(proto, known, where)
    outputs = [_spec(value, where) for value in proto.graph.output]
    widen_half(proto)
    return Model(
        name=name,
        source=source,
        sha256=sha256,
        batch=fixed,
        shapes={spec.name: spec.shape for spec in inputs},
        inputs=inputs,
        outputs=outputs,
        reference=proto,
        opset=opset_of(proto),
        seed=seed,
    )


def _fix_outputs(proto: onnx.ModelProto, known: dict[str, onnx.ValueInfoProto], where: str) -> None:
    """Writes the inferred type and shape into every output; where inference does not know it, the folded graph may."""
    if any(value.name not in known or static_shape(known[value.name]) is None for value in proto.graph.output):
        from compiler.frontend.clean import clean

        known = infer(clean(proto, where), where)
    if any(value.name not in known or static_shape(known[value.name]) is None for value in proto.graph.output):
        known = {**known, **session_outputs(proto)}
    for value in proto.graph.output:
        found = known.get(value.name)
        shape = static_shape(found) if found is not None else None
        if found is None or shape is None:
            raise EdgetuneError(
                f"{where}: the shape of output {value.name!r} depends on the data, which is not supported"
            )
        value.type.tensor_type.elem_type = found.type.tensor_type.elem_type
        set_shape(value, shape)


def _spec(value: onnx.ValueInfoProto, where: str) -> TensorSpec:
    shape = static_shape(value)
    if shape is None:
        raise EdgetuneError(f"{where}: the shape of tensor {value.name!r} is unknown; export the model with its shape")
    if 0 in shape:
        raise EdgetuneError(f"{where}: tensor {value.name!r} has no values (shape {shape})")
    try:
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    except KeyError as error:
        raise EdgetuneError(f"{where}: tensor {value.name!r} does not hold numbers") from error
    return TensorSpec(value.name, shape, dtype)
