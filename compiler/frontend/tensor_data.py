"""Whether a stored tensor holds as many values as its shape says: checked before anything allocates by that shape."""

from __future__ import annotations

import math

import onnx

from compiler.errors import EdgetuneError

_TYPE = onnx.TensorProto
# bits per value, of the element types that a graph may hold
# fmt: off
BITS: dict[int, int] = {
    _TYPE.FLOAT: 32, _TYPE.UINT8: 8, _TYPE.INT8: 8, _TYPE.UINT16: 16, _TYPE.INT16: 16, _TYPE.INT32: 32, _TYPE.INT64: 64,
    _TYPE.BOOL: 8, _TYPE.FLOAT16: 16, _TYPE.DOUBLE: 64, _TYPE.UINT32: 32, _TYPE.UINT64: 64, _TYPE.BFLOAT16: 16,
    _TYPE.FLOAT8E4M3FN: 8, _TYPE.FLOAT8E4M3FNUZ: 8, _TYPE.FLOAT8E5M2: 8, _TYPE.FLOAT8E5M2FNUZ: 8,
    _TYPE.INT4: 4, _TYPE.UINT4: 4,
}
# fmt: on


def expected_bytes(tensor: onnx.TensorProto, where: str) -> int:
    """How many bytes of raw data the tensor's shape and type ask for. Raises EdgetuneError for a bad shape or a type
    without numbers.
    """
    if any(d < 0 for d in tensor.dims):
        raise EdgetuneError(f"{where}: tensor {tensor.name!r} has a negative dimension")
    if tensor.data_type not in BITS:
        names = {value: name for name, value in _TYPE.DataType.items()}
        raise EdgetuneError(
            f"{where}: tensor {tensor.name!r} holds {names.get(tensor.data_type, 'an unknown type')}, not numbers"
        )
    return (math.prod(tensor.dims) * BITS[tensor.data_type] + 7) // 8


def check_tensor(tensor: onnx.TensorProto, where: str) -> None:
    """Raises EdgetuneError where an in-memory tensor holds more or fewer values than its shape says."""
    expected = expected_bytes(tensor, where)
    if tensor.HasField("raw_data"):
        held = len(tensor.raw_data)
    else:
        kind = tensor.data_type
        if kind == _TYPE.FLOAT:
            count = len(tensor.float_data)
        elif kind == _TYPE.INT64:
            count = len(tensor.int64_data)
        elif kind == _TYPE.DOUBLE:
            count = len(tensor.double_data)
        elif kind in (_TYPE.UINT32, _TYPE.UINT64):
            count = len(tensor.uint64_data)
        else:
            count = len(tensor.int32_data)
        held = (count * (8 if BITS[kind] < 8 else BITS[kind]) + 7) // 8
    if held != expected:
        raise EdgetuneError(
            f"{where}: tensor {tensor.name!r} of shape {tuple(tensor.dims)} needs {expected} bytes and holds {held}"
        )
