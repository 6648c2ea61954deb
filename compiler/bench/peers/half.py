"""The model in FP16, for peers that compute in what the graph says."""

from __future__ import annotations

import onnx

from compiler.frontend.model import Model


def half_model(model: Model) -> onnx.ModelProto:
    """`Model.reference` with weights and values in FP16, inputs and outputs as they were (by ONNX Runtime's tool)."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    copy = onnx.ModelProto()
    copy.CopyFrom(model.reference)
    return convert_float_to_float16(copy, keep_io_types=True)
