"""ONNX to Relax: TVM's importer, with its noise silenced and its failures turned into one line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from compiler.errors import EdgetuneError
from compiler.frontend.model import Model
from compiler.frontend.quiet import one_line, quiet_natively

if TYPE_CHECKING:
    import tvm


def import_model(model: Model) -> tvm.IRModule:
    """The Relax module of a model: one function `main` that takes `model.inputs` in order, weights embedded as
    constants.

    `main` returns one tensor, or a tuple in the order of `model.outputs`. Raises EdgetuneError that lists every
    unsupported operator at once, or names what TVM's importer cannot take.
    """
    cleaned = model.cleaned
    failure = ""
    with quiet_natively() as printed:
        from tvm.relax.frontend.onnx import from_onnx

        try:
            module = from_onnx(cleaned, keep_params_in_input=False, sanitize_input_names=False)
        except Exception as error:  # noqa: BLE001  TVM raises whatever its C++ or Python side stumbles over
            # Not chained: dropping the importer's half-built module, here, is what makes TVM print, and its traceback
            # keeps it alive.
            failure = one_line(error)
    if failure:
        operator = re.search(r"Error converting operator (\w+)", printed.getvalue())
        what = f"operator {operator[1]}" if operator else "this graph"
        raise EdgetuneError(f"{model.name}: TVM cannot import {what}: {failure}")
    _check_interface(model, module)
    return module


def _check_interface(model: Model, module: tvm.IRModule) -> None:
    """Raises EdgetuneError where the module takes or returns other tensors than the model: a wrong conversion often
    shows here.
    """
    main = module["main"]
    found = main.ret_ty.fields if hasattr(main.ret_ty, "fields") else [main.ret_ty]
    pairs = [("input", spec, param.ty) for spec, param in zip(model.inputs, main.params, strict=False)]
    pairs += [("output", spec, ty) for spec, ty in zip(model.outputs, found, strict=False)]
    if len(pairs) != len(model.inputs) + len(model.outputs) or len(main.params) != len(model.inputs):
        raise EdgetuneError(
            f"{model.name}: TVM's importer changed the number of inputs or outputs; this model is not supported"
        )
    for kind, spec, ty in pairs:
        shape = _static(getattr(ty, "shape", None))
        if shape != spec.shape or str(ty.dtype).removeprefix("T.") != spec.dtype:
            raise EdgetuneError(
                f"{model.name}: TVM imports {kind} {spec.name!r} as {shape} {ty.dtype}, where the model says "
                f"{spec.shape} {spec.dtype}; this model is not supported"
            )


def _static(shape: Iterable[object] | None) -> tuple[int, ...] | None:
    """The shape that a Relax type says, -1 where a dimension is symbolic; None where even the rank is unknown."""
    if shape is None:
        return None
    return tuple(int(dim.value) if hasattr(dim, "value") else -1 for dim in shape)
