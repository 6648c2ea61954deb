"""What a schedule's trace from elsewhere may contain: a list of what is allowed, everything else is refused.

A trace is a small program that TVM interprets: instructions, their random variables, attributes and decisions. None of
the instructions allowed here carries source code, calls out, or changes a data type behind the type checker's back.
Indices are checked as well, because TVM writes decisions at the index that the file gives.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import msgspec

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes

_INSTRUCTIONS_TEXT = """
    GetSBlock GetLoops GetChildBlocks GetProducers GetConsumers GetOutputBlocks SampleCategorical
    SamplePerfectTile SamplePartitionedTile SampleComputeLocation Split LoopPartition Merge Fuse Reorder
    ReorderBlockIterVar AddUnitLoop Parallel Vectorize Bind Unroll CacheRead CacheWrite CacheInplace CacheIndex
    ReIndex ReindexCacheRead ReindexCacheWrite ReadAt WriteAt ComputeAt ReverseComputeAt ComputeInline
    ReverseComputeInline FuseReductionEpilogue DecomposeReduction RFactor PadEinsum DecomposePadding
    RollingBuffer StorageAlign SetScope Blockize Tensorize TransformLayout TransformBlockLayout Annotate
    Unannotate EnterPostproc
"""
INSTRUCTIONS = frozenset(_INSTRUCTIONS_TEXT.split())

_ANNOTATIONS_TEXT = """
    meta_schedule.tiling_structure meta_schedule.cooperative_fetch meta_schedule.random_compute_producer
    meta_schedule.thread_extent_low_inclusive meta_schedule.thread_extent_high_inclusive meta_schedule.parallel
    meta_schedule.vectorize meta_schedule.unroll_explicit meta_schedule.unroll_implicit
    meta_schedule.auto_tensorize meta_schedule.auto_tensorize_init meta_schedule.layout_rewrite_preproc
    meta_schedule.inline_rule pragma_auto_unroll_max_step pragma_unroll_explicit software_pipeline_stage
    software_pipeline_order software_pipeline_async_stages double_buffer_scope local_stage vector_bytes
    warp_execution permuted_layout tirx.manifest_shared_memory_local_stage
"""
ANNOTATIONS = frozenset(_ANNOTATIONS_TEXT.split())

MAX_INSTRUCTIONS = 10_000
MAX_INTEGER = 2**31 - 1
MAX_ANNOTATION = 65_536  # an unroll step or a thread count beyond this only serves to exhaust a compiler
MAX_INDEX_MAP_NODES = 5_000

_VARIABLE = re.compile(r"[blv][0-9]{1,6}")
_NAME = re.compile(r"[A-Za-z0-9_.\-]{0,200}")
_MAP_ARGUMENTS = frozenset({"TransformLayout", "TransformBlockLayout", "ReindexCacheRead", "ReindexCacheWrite"})
_OPTIONAL_INPUTS = frozenset({"Split", "LoopPartition"})  # "None" stands for the factor to infer
_MAP_NODE = re.compile(
    r"None|int|bool|ffi\.(?:String|Array)|ir\.(?:Type|PrimType|Range)|tirx?\.IndexMap"
    r"|(?:ir|prim|tirx?)\.(?:Var|IntImm|Cast|Add|Sub|Mul|FloorDiv|FloorMod|Min|Max)"
)


def normalise_trace(value: Any) -> Any:
    """`value` (Trace.as_json() as JSON types) in the one form that is kept.

    Booleans become 0 and 1, as in MetaSchedule's own files, and the index maps within it lose their blanks: the same
    schedule gives the same text, whether it came from this process or from a file.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (list, tuple)):
        return [normalise_trace(item) for item in value]
    if isinstance(value, str) and value.startswith("{") and value.endswith("}"):
        try:
            return canonical_bytes(msgspec.json.decode(value)).decode("utf-8")
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return value  # check_trace says what is wrong with it
    return value


def check_trace(value: Any) -> None:
    """Raises EdgetuneError, in one line, unless `value` ([instructions, decisions]) is made of what is allowed here."""
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(part, list) for part in value)):
        raise EdgetuneError("the trace is not [instructions, decisions]")
    instructions, decisions = value
    if len(instructions) > MAX_INSTRUCTIONS:
        raise EdgetuneError(f"the trace has more than {MAX_INSTRUCTIONS} instructions")
    defined: set[str] = set()
    for index, instruction in enumerate(instructions):
        try:
            _check_instruction(instruction, defined)
        except EdgetuneError as error:
            raise EdgetuneError(f"instruction {index} of the trace: {error}") from None
    for decision in decisions:
        ok = isinstance(decision, list) and len(decision) == 2 and type(decision[0]) is int
        if not (ok and 0 <= decision[0] < len(instructions)):
            raise EdgetuneError("a decision of the trace names no instruction")
        if not _plain_integers(decision[1]):
            raise EdgetuneError("a decision of the trace is not made of integers")


def _check_instruction(instruction: Any, defined: set[str]) -> None:
    if not (isinstance(instruction, list) and len(instruction) == 4 and isinstance(instruction[0], str)):
        raise EdgetuneError("not [name, inputs, attributes, outputs]")
    name, inputs, attributes, outputs = instruction
    if name not in INSTRUCTIONS:
        raise EdgetuneError(f"{name[:60]!r} is not among the allowed instructions")
    if not (isinstance(inputs, list) and isinstance(attributes, list) and isinstance(outputs, list)):
        raise EdgetuneError("inputs, attributes and outputs are lists")
    limit = MAX_INTEGER
    if name in ("Annotate", "Unannotate"):
        key = attributes[0] if len(attributes) == 1 else None
        if not isinstance(key, str) or key not in ANNOTATIONS:
            raise EdgetuneError(f"{str(key)[:60]!r} is not among the allowed annotations")
        limit = MAX_ANNOTATION
    for position, item in enumerate(inputs):
        if isinstance(item, str) and item in defined:
            continue
        if item == "None" and position > 0 and name in _OPTIONAL_INPUTS:
            continue
        _check_value(item, name, defined, limit, quoted=True)
    if name not in ("Annotate", "Unannotate"):
        for item in attributes:
            _check_value(item, name, defined, limit, quoted=False)
    for item in outputs:
        if not (isinstance(item, str) and _is_variable(item)):
            raise EdgetuneError("an output is not a random variable")
        defined.add(item)


@lru_cache(maxsize=10_000)
def _is_variable(text: str) -> bool:
    return _VARIABLE.fullmatch(text) is not None


def _check_value(value: Any, name: str, defined: set[str], limit: int, *, quoted: bool) -> None:
    if isinstance(value, str):
        if value.startswith("{"):
            if name not in _MAP_ARGUMENTS:
                raise EdgetuneError(f"{name} takes no index map")
            _check_index_map(value)
        elif quoted and not (len(value) >= 2 and value[0] == value[-1] == '"'):
            raise EdgetuneError(f"{value[:60]!r} is not defined before it is used")
        elif not _NAME.fullmatch(value[1:-1] if quoted else value):
            raise EdgetuneError(f"{value[:60]!r} is not a plain name")
    elif isinstance(value, list):
        for item in value:
            if not (isinstance(item, str) and item in defined):
                _check_value(item, name, defined, limit, quoted=quoted)
    elif isinstance(value, int):
        if not -limit <= value <= limit:
            raise EdgetuneError(f"the number {value} is too large")
    elif not (value is None or isinstance(value, float)):
        raise EdgetuneError(f"a {type(value).__name__} has no place there")


def _plain_integers(value: Any) -> bool:
    if isinstance(value, list):
        return all(_plain_integers(item) for item in value)
    return type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER


def _check_index_map(text: str) -> None:
    """An index map is integer arithmetic on its variables; nodes may only point back, so that there is no cycle."""
    try:
        graph = json.loads(text)
    except (ValueError, RecursionError):
        raise EdgetuneError("the index map is not JSON") from None
    nodes = graph.get("nodes")
    if not (set(graph) <= {"root_index", "nodes", "metadata"} and isinstance(nodes, list)):
        raise EdgetuneError("the index map is not TVM's JSON")
    root = graph.get("root_index")
    if not (type(root) is int and 0 <= root < len(nodes) <= MAX_INDEX_MAP_NODES):
        raise EdgetuneError("the index map has no root")
    for position, node in enumerate(nodes):
        kind = node.get("type") if isinstance(node, dict) else None
        if not (isinstance(kind, str) and set(node) <= {"type", "data"} and _MAP_NODE.fullmatch(kind)):
            raise EdgetuneError(f"an index map must not hold {str(kind)[:60]!r}")
        if not _node_data_ok(kind, node.get("data"), position):
            raise EdgetuneError(f"a {kind} of the index map is malformed")
    if not re.fullmatch(r"tirx?\.IndexMap", nodes[root]["type"]):
        raise EdgetuneError("the index map's root is something else")


def _node_data_ok(kind: str, data: Any, position: int) -> bool:
    def back(reference: Any) -> bool:
        return type(reference) is int and 0 <= reference < position

    if kind == "None":
        return data is None
    if kind in ("int", "bool"):
        return isinstance(data, int) and -MAX_INTEGER <= data <= MAX_INTEGER
    if kind == "ffi.String":
        return isinstance(data, str) and _NAME.fullmatch(data) is not None
    if kind == "ffi.Array":
        return isinstance(data, list) and all(back(item) for item in data)
    if not isinstance(data, dict):
        return False
    return all(
        back(item) or (key == "dtype" and isinstance(item, str) and _NAME.fullmatch(item)) for key, item in data.items()
    )
