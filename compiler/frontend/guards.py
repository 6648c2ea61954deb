"""Uses of operators that TVM's importer takes but gets wrong, or that fail only when compiled: refused by name, never
computed wrongly.

Found by running the onnx package's own operator tests through import and compilation
(tests/frontend/test_operators.py keeps the cases).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import onnx

from compiler.frontend.graphs import attribute, constants, static_shape

_TYPE = onnx.TensorProto
_SUPPORTED_TYPES = {
    _TYPE.FLOAT, _TYPE.FLOAT16, _TYPE.DOUBLE, _TYPE.BOOL, _TYPE.INT8, _TYPE.INT16, _TYPE.INT32, _TYPE.INT64,
    _TYPE.UINT8, _TYPE.UINT16, _TYPE.UINT32, _TYPE.UINT64,
}  # fmt: skip
_FLOATS = {_TYPE.FLOAT, _TYPE.FLOAT16, _TYPE.DOUBLE}


class Facts:
    """What a guard may ask about the tensors of a graph."""

    def __init__(self, graph: onnx.GraphProto, known: Mapping[str, onnx.ValueInfoProto]) -> None:
        self.known = known
        self.values = constants(graph)
        self.read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The static shape of a tensor, where it is known."""
        return static_shape(self.known[name]) if name in self.known else None

    def type(self, name: str) -> int:
        """The ONNX element type of a tensor; 0 where it is unknown."""
        return self.known[name].type.tensor_type.elem_type if name in self.known else 0


Guard = Callable[[onnx.NodeProto, Facts], str | None]
_GUARDS: dict[str, Guard] = {}


def _guard(*operators: str) -> Callable[[Guard], Guard]:
    def register(function: Guard) -> Guard:
        _GUARDS.update(dict.fromkeys(operators, function))
        return function

    return register


def unsupported_uses(graph: onnx.GraphProto, known: Mapping[str, onnx.ValueInfoProto]) -> list[str]:
    """What of a graph cannot be compiled although its operators can: one short phrase each, sorted, no repeats."""
    facts = Facts(graph, known)
    found = set()
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            continue
        reason = _GUARDS[node.op_type](node, facts) if node.op_type in _GUARDS else None
        if reason is not None:
            found.add(f"{node.op_type} {reason}")
        for name in (*node.input, *node.output):
            if name and facts.type(name) not in (*_SUPPORTED_TYPES, 0):
                found.add(f"{node.op_type} on {_TYPE.DataType.Name(facts.type(name)).lower()}")
    return sorted(found)


@_guard("BatchNormalization")
def _batch_norm(node: onnx.NodeProto, facts: Facts) -> str | None:
    return (
        "in training mode"
        if attribute(node, "training_mode", 0) or any(n in facts.read for n in node.output[1:] if n)
        else None
    )


@_guard("Dropout")
def _dropout(node: onnx.NodeProto, facts: Facts) -> str | None:
    return "in training mode or with its mask used"  # what does nothing has been removed before


@_guard("MaxPool")
def _max_pool(node: onnx.NodeProto, facts: Facts) -> str | None:
    return "with its indices used" if any(name in facts.read for name in node.output[1:] if name) else None


@_guard("IsInf")
def _is_inf(node: onnx.NodeProto, facts: Facts) -> str | None:
    both = attribute(node, "detect_positive", 1) and attribute(node, "detect_negative", 1)
    return None if both else "of one sign only"


@_guard("SpaceToDepth")
def _space_to_depth(node: onnx.NodeProto, facts: Facts) -> str | None:
    return None if attribute(node, "mode", b"DCR") == b"DCR" else "in CRD mode"


@_guard("RoiAlign")
def _roi_align(node: onnx.NodeProto, facts: Facts) -> str | None:
    return None if attribute(node, "mode", b"avg") == b"avg" else "in max mode"


@_guard("BitShift")
def _bit_shift(node: onnx.NodeProto, facts: Facts) -> str | None:
    shift = facts.values.get(node.input[1])
    dtype = (
        onnx.helper.tensor_dtype_to_np_dtype(facts.type(node.input[0]))
        if facts.type(node.input[0])
        else np.dtype("uint8")
    )
    inside = shift is not None and bool(
        np.all((shift.astype(np.int64) >= 0) & (shift.astype(np.int64) < dtype.itemsize * 8))
    )
    return None if inside else "by amounts not known to be inside the word"


@_guard("Pow")
def _pow(node: onnx.NodeProto, facts: Facts) -> str | None:
    return "of integers" if facts.type(node.input[0]) not in (*_FLOATS, 0) else None


@_guard("ReduceMax", "ReduceMin")
def _reduce(node: onnx.NodeProto, facts: Facts) -> str | None:
    return "on booleans" if facts.type(node.input[0]) == _TYPE.BOOL else None


@_guard("TopK")
def _top_k(node: onnx.NodeProto, facts: Facts) -> str | None:
    return "on uint64" if facts.type(node.input[0]) == _TYPE.UINT64 else None


@_guard("NonMaxSuppression")
def _non_max_suppression(node: onnx.NodeProto, facts: Facts) -> str | None:
    return "(how many boxes it gives depends on the data)"


@_guard("Conv", "ConvTranspose")
def _convolution(node: onnx.NodeProto, facts: Facts) -> str | None:
    # ONNX Runtime has none either, so there would be nothing to compare with.
    return "on double" if facts.type(node.input[0]) == _TYPE.DOUBLE else None


@_guard("LRN")
def _lrn(node: onnx.NodeProto, facts: Facts) -> str | None:
    shape = facts.shape(node.input[0])
    if int(attribute(node, "size", 0)) % 2 == 0:
        return "of even size"
    return f"of a {len(shape)}-dimensional tensor" if shape is not None and len(shape) not in (3, 4) else None


@_guard("Resize")
def _resize(node: onnx.NodeProto, facts: Facts) -> str | None:
    if attribute(node, "antialias", 0):
        return "with antialias"
    if attribute(node, "keep_aspect_ratio_policy", b"stretch") != b"stretch":
        return "that keeps the aspect ratio"
    mode = attribute(node, "coordinate_transformation_mode", b"half_pixel").decode(errors="replace")
    if mode in ("half_pixel_symmetric", "tf_crop_and_resize"):
        return f"with {mode}"
    before, after = facts.shape(node.input[0]), facts.shape(node.output[0])
    if before is None or after is None:
        return "of unknown size"
    if mode == "align_corners" and any(size == 1 and old != 1 for old, size in zip(before, after, strict=True)):
        return "to a single point with align_corners"
    scales = facts.values.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if scales is not None and len(scales) == len(before):
        exact = all(
            math.isclose(size, old * float(s), rel_tol=1e-5) for old, s, size in zip(before, scales, after, strict=True)
        )
        if not exact:  # the importer goes by the sizes, ONNX by the scales
            return "by a scale that does not give a whole size"
    return None
