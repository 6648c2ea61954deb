"""Whether two graphs compute the same: both run by ONNX Runtime on the same random inputs."""

from __future__ import annotations

import logging

import numpy as np
import onnx

from compiler.errors import EdgetuneError
from compiler.frontend.graphs import data_inputs, static_shape
from compiler.frontend.inputs import random_inputs
from compiler.frontend.reference import run_reference
from compiler.tensors import TensorSpec

log = logging.getLogger(__name__)

# Folding and reordering change the last bits only; half-precision models have fewer of them.
MAX_RELATIVE_ERROR = {"float16": 2e-2, "bfloat16": 5e-2}
DEFAULT_MAX_RELATIVE_ERROR = 1e-3


def difference(reference: onnx.ModelProto, other: onnx.ModelProto, seed: int = 0) -> str | None:
    """What differs between the outputs of two graphs with the same inputs, in words; None when nothing does.

    A reference that ONNX Runtime cannot run on random inputs (an index out of range) tells nothing: that is logged,
    and None.
    """
    inputs = random_inputs(input_specs(reference), seed)
    try:
        expected = run_reference(reference, inputs)
    except EdgetuneError as error:
        log.info("the graph cannot be run on random inputs, so its cleaning is not checked: %s", error)
        return None
    try:
        found = run_reference(other, inputs)
    except EdgetuneError as error:
        return f"whether it runs ({error})"
    for name, array in expected.items():
        if name not in found or found[name].shape != array.shape or found[name].dtype != array.dtype:
            return f"the shape or type of output {name!r}"
        if array.dtype.kind in "biu":
            if np.mean(found[name] != array) > 0.01:  # a rounding error may move an index or flip a comparison, rarely
                return f"output {name!r}"
        elif not _close(array, found[name]):
            return f"output {name!r}"
    return None


def _close(expected: np.ndarray, found: np.ndarray) -> bool:
    limit = MAX_RELATIVE_ERROR.get(str(expected.dtype), DEFAULT_MAX_RELATIVE_ERROR)
    a, b = expected.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return False
    return float(np.linalg.norm(a[finite] - b[finite])) <= limit * float(np.linalg.norm(a[finite])) + 1e-6


def batch_difference(
    original: onnx.ModelProto, other: onnx.ModelProto, batched: set[str], old: int, new: int
) -> str | None:
    """What an image gives in `other`, at batch `new`, that it did not give in `original`, at batch `old`; None when
    nothing.

    `batched` names the inputs whose dimension 0 is the batch. As with `difference`, an original that cannot be run on
    random inputs tells nothing.
    """
    large = random_inputs(input_specs(other), seed=0)
    offsets = [0] if new <= old else sorted({0, new - old})  # the first images, and the last
    try:
        found = run_reference(other, large)
        for offset in offsets:
            rows = [min(offset + row, new - 1) for row in range(old)]
            small = {name: array[rows] if name in batched else array for name, array in large.items()}
            expected = run_reference(original, small)
            for name, array in expected.items():
                if array.ndim and array.shape[0] == old and found[name].shape[:1] == (new,):
                    if array.shape[1:] != found[name].shape[1:] or not _close(array, found[name][rows]):
                        return f"output {name!r}"
                elif array.shape != found[name].shape:
                    return f"the shape of output {name!r}"
    except EdgetuneError as error:
        log.info("the graph cannot be run on random inputs, so its new batch is not checked: %s", error)
    return None


def input_specs(model: onnx.ModelProto) -> list[TensorSpec]:
    """The inputs of a graph whose shapes are static."""
    specs = []
    for value in data_inputs(model.graph):
        shape = static_shape(value)
        if shape is None:
            raise EdgetuneError(f"input {value.name!r} has no static shape")
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        specs.append(TensorSpec(value.name, shape, str(dtype)))
    return specs
