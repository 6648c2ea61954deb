"""What a package says of itself: the model, the target, what tuning it rests on, and whether it was verified."""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from compiler.errors import EdgetuneError
from compiler.records.canonical import check_json
from compiler.tensors import TensorSpec

SCHEMA = 1
"""Raised when a reader of the old schema would misread a new manifest; new optional fields do not raise it."""

DTYPES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint64": 8,
    "uint32": 4,
    "uint16": 2,
    "uint8": 1,
    "bool": 1,
}
"""The dtypes of inputs and outputs, and the bytes that an element takes."""

MAX_DIMENSIONS = 32
MAX_TENSOR_BYTES = 2**36

Count = Annotated[int, Meta(ge=0, le=2**53)]
Name = Annotated[str, Meta(min_length=1, max_length=4096)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Accuracy(Struct, frozen=True, kw_only=True):
    """How far outputs are from the reference, over `inputs` sets of inputs (see `compiler.bench.verify`).

    `max_abs_err` is in the unit of the outputs, `rel_l2_err` is |ours - reference| / |reference|, both the worst of all
    outputs and inputs; they are None when the outputs could not be compared. `top1_agreement` is the share of
    rows with the same largest class, None where no output is a classifier's. `uncertainty` is how far the reference's
    own outputs move when its operators round otherwise; None where they were near enough without asking.
    """

    reference: str
    max_abs_err: float | None
    rel_l2_err: float | None
    top1_agreement: float | None
    inputs: Count
    ok: bool
    uncertainty: float | None = None


class ModelInfo(Struct, frozen=True, kw_only=True):
    """The model that was compiled.

    `source` is a path or a built-in name, `sha256` that of the file or of the seeded built-in.
    """

    name: Name
    source: str
    sha256: Sha256
    batch: Annotated[int, Meta(ge=1)] | None = None
    shapes: dict[str, tuple[Count, ...]] = {}
    seed: int | None = None


class TargetInfo(Struct, frozen=True, kw_only=True):
    """The target: its name, TVM's options for it, and the CPU features without which its code must not be run."""

    name: Name
    options: dict[str, Any]
    requires: list[str] = []


class UsedRecord(Struct, frozen=True, kw_only=True):
    """One record that the package was built with; `seconds` is the time that the tuner measured for the kernel."""

    task: str
    workload: str
    record: str
    seconds: float | None = None


class KernelWork(Struct, frozen=True, kw_only=True):
    """What one call of a kernel must do, None if unknown: operations (a fused multiply-add is two) and bytes moved."""

    flops: Annotated[float, Meta(ge=0)] | None = None
    bytes: Annotated[float, Meta(ge=0)] | None = None


class Manifest(Struct, frozen=True, kw_only=True):
    """`manifest.json` of a package. `inputs` are in the order of the library's `main`; `created` is UTC, ISO 8601.

    `algorithms` counts convolutions by algorithm, `layout_transforms` transposes that are left (None where the package
    is older than the count), `kept_wide` names weights that FP16 cannot hold, `kept_fp32` activations, with the largest
    magnitude seen. `cuda_graph`: the library launches its kernels as a CUDA graph.
    """

    schema: int = SCHEMA
    model: ModelInfo
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    target: TargetInfo
    fingerprint: str
    device: str = ""
    precision: Name
    batch: Annotated[int, Meta(ge=1)] | None = None
    threads: Annotated[int, Meta(ge=1)]
    tvm_version: Name
    tool_version: str
    created: str
    records: list[UsedRecord] = []
    untuned: list[str] = []
    tasks: Count = 0
    trials: Count = 0
    accuracy: Accuracy | None = None
    verified: bool = False
    kernels: dict[str, KernelWork] = {}
    algorithms: dict[str, Count] = {}
    layout_transforms: Count | None = None
    kept_wide: list[str] = []
    kept_fp32: dict[str, float] = {}
    cuda_graph: bool = False


WITHOUT_GRAPH = "without_graph"
"""The function of a library with `cuda_graph` that calls what `main` does kernel by kernel."""


class _Schema(Struct):
    schema: int


def encode(manifest: Manifest) -> bytes:
    """The bytes of `manifest.json`: the same manifest always gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1) + b"\n"


def decode(data: bytes) -> Manifest:
    """Read `manifest.json`; raises EdgetuneError, in one line, for anything that is not a manifest of this schema."""
    try:
        schema = msgspec.json.decode(data, type=_Schema).schema
        if schema != SCHEMA:
            raise EdgetuneError(
                f"the manifest has schema {schema} and this edgetune reads {SCHEMA}: "
                "compile the model again, or update edgetune"
            )
        content = msgspec.json.decode(data)
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EdgetuneError(f"the manifest is not valid: {' '.join(str(error).split())}") from None
    # Names and versions end up in tables and error lines on somebody's terminal.
    check_json(content, "the manifest")
    _check_tensors("input", manifest.inputs)
    _check_tensors("output", manifest.outputs)
    return manifest


def tensor_bytes(tensor: TensorSpec) -> int:
    """The memory that a tensor takes."""
    return math.prod(tensor.shape) * DTYPES.get(tensor.dtype, 8)


def _check_tensors(what: str, tensors: list[TensorSpec]) -> None:
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        raise EdgetuneError(f"the manifest is not valid: two {what}s have the same name")
    for tensor in tensors:
        if tensor.dtype not in DTYPES:
            raise EdgetuneError(
                f"the manifest is not valid: {what} {tensor.name!r} has the unknown dtype {tensor.dtype!r}"
            )
        possible = len(tensor.shape) <= MAX_DIMENSIONS and all(0 <= size < 2**40 for size in tensor.shape)
        if not possible or tensor_bytes(tensor) > MAX_TENSOR_BYTES:
            raise EdgetuneError(
                f"the manifest is not valid: {what} {tensor.name!r} has the shape {str(tensor.shape)[:200]}"
            )
    if what == "output" and not tensors:
        raise EdgetuneError("the manifest is not valid: it lists no output")
