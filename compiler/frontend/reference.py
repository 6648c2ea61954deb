"""ONNX Runtime as the truth: sessions on a model's graph as it was loaded, whatever its size."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.errors import EdgetuneError
from compiler.frontend.graphs import WEIGHT_BYTES, skeleton, tensor_bytes
from compiler.frontend.model import Model
from compiler.frontend.quiet import one_line
from compiler.scratch import scratch_folder

if TYPE_CHECKING:
    import onnxruntime

# ONNX Runtime reports its use to its makers, and leaves a file with an identity of the session in the temporary folder,
# unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# What ONNX Runtime calls the types of outputs.
_ORT_TYPES = {
    "tensor(float)": onnx.TensorProto.FLOAT,
    "tensor(float16)": onnx.TensorProto.FLOAT16,
    "tensor(double)": onnx.TensorProto.DOUBLE,
    "tensor(bool)": onnx.TensorProto.BOOL,
    **{f"tensor({n})": onnx.TensorProto.DataType.Value(n.upper()) for n in ("int8", "int16", "int32", "int64")},
    **{f"tensor(u{n})": onnx.TensorProto.DataType.Value(f"U{n}".upper()) for n in ("int8", "int16", "int32", "int64")},
}
# Above this a model goes to ONNX Runtime as a file with external data: protobuf ends at 2 GB, and copies cost time
# long before.
IN_MEMORY_BYTES = 256 << 20


def ort_session(
    model: Model | onnx.ModelProto, threads: int | None = None, *, optimise: bool = True
) -> onnxruntime.InferenceSession:
    """A CPU session of ONNX Runtime on `Model.reference` (or on a graph) with `threads` threads; None leaves the
    number to ONNX Runtime.

    Raises EdgetuneError where ONNX Runtime cannot take the model.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4  # failures come as exceptions, which say the same
    ort.set_default_logger_severity(4)
    options.inter_op_num_threads = 1
    if threads is not None:
        options.intra_op_num_threads = threads
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto, name = (
        (model.reference, model.name) if isinstance(model, Model) else (model, model.graph.name or "the graph")
    )
    # Without its fallback: on a failure it would print, and try the same again.
    how: dict[str, Any] = {"providers": ["CPUExecutionProvider"], "enable_fallback": 0}
    try:
        if proto_bytes(proto) <= IN_MEMORY_BYTES:
            return ort.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        with reference_path(proto) as path:
            return ort.InferenceSession(str(path), options, **how)
    except Exception as error:
        raise EdgetuneError(
            f"{name}: ONNX Runtime cannot run this model, so nothing can be verified: {one_line(error)}"
        ) from error


def run_reference(
    model: Model | onnx.ModelProto, inputs: Mapping[str, np.ndarray], threads: int | None = None
) -> dict[str, np.ndarray]:
    """The model's outputs by name, computed by ONNX Runtime. Raises EdgetuneError where it fails."""
    import onnxruntime as ort

    session = ort_session(model, threads)
    silent = ort.RunOptions()
    silent.log_severity_level = 4
    try:
        values = session.run(None, dict(inputs), silent)
    except Exception as error:
        raise EdgetuneError(f"ONNX Runtime failed on these inputs: {one_line(error)}") from error
    return {output.name: np.asarray(value) for output, value in zip(session.get_outputs(), values, strict=True)}


@contextmanager
def reference_path(model: Model | onnx.ModelProto) -> Iterator[Path]:
    """A temporary ONNX file of the model, its weights in one external file beside it; both are gone afterwards."""
    proto = model.reference if isinstance(model, Model) else model
    bare = skeleton(proto)
    weights = {tensor.name for tensor in proto.graph.initializer} - {tensor.name for tensor in bare.graph.initializer}
    inputs = [value for value in bare.graph.input if value.name not in weights]
    kept = onnx.GraphProto()
    kept.input.extend(inputs)
    del bare.graph.input[:]
    bare.graph.input.MergeFrom(kept.input)
    with scratch_folder("reference") as folder:
        with (folder / "weights.bin").open("wb") as stream:
            for tensor in proto.graph.initializer:
                if tensor.name not in weights:
                    continue
                data = tensor.raw_data if tensor.HasField("raw_data") else numpy_helper.to_array(tensor).tobytes()
                stream.write(b"\0" * (-stream.tell() % 4096))  # page-aligned, so that ONNX Runtime can map it
                external = bare.graph.initializer.add(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
                external.data_location = onnx.TensorProto.EXTERNAL
                for key, value in (("location", "weights.bin"), ("offset", stream.tell()), ("length", len(data))):
                    external.external_data.add(key=key, value=str(value))
                stream.write(data)
        path = folder / "model.onnx"
        path.write_bytes(bare.SerializeToString())
        yield path


def session_outputs(proto: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """The outputs whose types and static shapes ONNX Runtime infers, by name."""
    found = {}
    for output in ort_session(proto, threads=1).get_outputs():
        kind = _ORT_TYPES.get(output.type)
        if kind is not None and all(isinstance(size, int) for size in output.shape):
            found[output.name] = onnx.helper.make_tensor_value_info(output.name, kind, output.shape)
    return found


def proto_bytes(proto: onnx.ModelProto) -> int:
    """About how many bytes the model's weights take (protobuf's own count fails above 2 GB)."""
    return sum(tensor_bytes(tensor) for tensor in proto.graph.initializer if tensor_bytes(tensor) > WEIGHT_BYTES)
