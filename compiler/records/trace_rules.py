"""What a schedule's trace from elsewhere may contain: a list of what is allowed, everything else is refused.

A trace is a small program that TVM interprets: instructions, their random variables, attributes and decisions. None of
the instructions allowed here carries source code, calls out, or changes a data type behind the type checker's back.
Indices are checked as well, because TVM writes decisions at the index that the file gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes
from compiler.records.index_maps import check_index_map

MAX_INSTRUCTIONS = 10_000
MAX_INPUTS = 256
MAX_VARIABLES = 20_000
MAX_INTEGER = 2**31 - 1
MAX_ANNOTATION = 4_096  # an unroll step or a thread count beyond this only serves to exhaust a compiler
MAX_INDEX = 256  # of a buffer, an axis, a block
MAX_TILES = 16
MAX_PADDING = 4_096  # elements that an axis is made a multiple of
MAX_ALIGNMENT = 128  # elements; it pads each row

_VARIABLE = re.compile(r"[blv][0-9]{1,6}")
_NAME = re.compile(r"[A-Za-z0-9_.\-]{0,200}")
_SCOPE = re.compile(r"global|shared|shared\.dyn|local|warp|wmma\.(?:matrix_[ab]|accumulator)|m16n8k8\.matrix[ABC]")
_THREAD = re.compile(r"(?:blockIdx|threadIdx|vthread)\.[xyz]|vthread")

_ROUNDED = re.compile(r"float16")

_Check = Callable[[Any], bool]


def _whole(least: int, most: int) -> _Check:
    return lambda value: isinstance(value, int) and least <= value <= most


def _text(pattern: re.Pattern[str]) -> _Check:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _list_of(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and len(value) <= MAX_INPUTS and all(check(item) for item in value)


def _nothing(value: Any) -> bool:
    return value is None


def _probability(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1


def _index_map(value: Any) -> bool:
    if isinstance(value, str):
        check_index_map(value)
        return True
    return False


_flag = _whole(0, 1)
_index = _whole(0, MAX_INDEX)
_relative = _whole(-MAX_INDEX, MAX_INDEX)
_number = _whole(-MAX_INTEGER, MAX_INTEGER)
_name, _scope = _text(_NAME), _text(_SCOPE)

# Attributes of each instruction, by position. Those that no search of ours or of MetaSchedule writes are not here, nor
# those that hide accesses (UnsafeHideBufferAccess, AnnotateBufferAccess). Of those that change types, only what is
# kept between two blocks may become float16, which rounds it.
_ATTRIBUTES: dict[str, tuple[_Check, ...]] = {
    **dict.fromkeys(
        ("GetLoops", "GetChildBlocks", "GetProducers", "GetConsumers", "GetOutputBlocks", "SampleComputeLocation"), ()
    ),
    **dict.fromkeys(("Reorder", "AddUnitLoop", "Parallel", "Vectorize", "Unroll", "EnterPostproc"), ()),
    **dict.fromkeys(("ComputeInline", "ReverseComputeInline", "DecomposeReduction"), ()),
    **dict.fromkeys(("CacheRead", "CacheWrite", "ReadAt", "WriteAt", "SetScope"), (_index, _scope)),
    **dict.fromkeys(("ComputeAt", "ReverseComputeAt"), (_flag, _relative)),
    **dict.fromkeys(("Fuse", "Blockize"), (_flag,)),
    "GetSBlock": (_name, _name),
    "SampleCategorical": (_list_of(_number), _list_of(_probability)),
    "SamplePerfectTile": (_whole(1, MAX_TILES), _number),
    "SamplePartitionedTile": (_whole(1, MAX_TILES), _index, _number),
    "Split": (_flag, _flag),
    "Bind": (_text(_THREAD),),
    "ReIndex": (_index, _flag),
    "PadEinsum": (_list_of(_whole(1, MAX_PADDING)),),
    "UnsafeSetDType": (_index, _text(_ROUNDED)),
    "RFactor": (_relative,),
    "StorageAlign": (_index, _relative, _whole(0, MAX_ALIGNMENT), _whole(0, MAX_ALIGNMENT)),
    "Tensorize": (_name, _flag),
    "TransformLayout": (_index, _flag, _nothing, _flag),  # no padding: what is written there would be the trace's own
    "TransformBlockLayout": (_index_map,),
    "Annotate": (_name,),
    "Unannotate": (_name,),
}
INSTRUCTIONS = frozenset(_ATTRIBUTES)
SAMPLES = frozenset(name for name in INSTRUCTIONS if name.startswith("Sample"))

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
    defined: dict[str, bool] = {}  # whether the value that a variable stands for is small enough to annotate with
    sampled: set[int] = set()
    for index, instruction in enumerate(instructions):
        try:
            check_instruction(instruction, defined)
        except EdgetuneError as error:
            raise EdgetuneError(f"instruction {index} of the trace: {error}") from None
        if instruction[0] in SAMPLES:
            sampled.add(index)
    for decision in decisions:
        ok = isinstance(decision, list) and len(decision) == 2 and type(decision[0]) is int
        if not (ok and decision[0] in sampled):
            raise EdgetuneError("a decision of the trace names no instruction, one that takes none, or one twice")
        sampled.remove(decision[0])
        if not _plain_integers(decision[1]):
            raise EdgetuneError("a decision of the trace is not made of integers")
    if sampled:  # TVM would draw it anew each time, and what was looked at would not be what is built
        raise EdgetuneError(f"instruction {min(sampled)} of the trace: a decision is missing")


def check_instruction(instruction: Any, defined: dict[str, bool]) -> None:
    """Raises EdgetuneError unless the instruction is allowed after those that have defined `defined`: variable ->
    whether what it stands for is small enough to annotate with. Its own outputs are added."""
    if not (isinstance(instruction, list) and len(instruction) == 4 and isinstance(instruction[0], str)):
        raise EdgetuneError("not [name, inputs, attributes, outputs]")
    name, inputs, attributes, outputs = instruction
    checks = _ATTRIBUTES.get(name)
    if checks is None:
        raise EdgetuneError(f"{name[:60]!r} is not among the allowed instructions")
    if not (isinstance(inputs, list) and isinstance(attributes, list) and isinstance(outputs, list)):
        raise EdgetuneError("inputs, attributes and outputs are lists")
    if len(attributes) > len(checks):
        raise EdgetuneError(f"{name} takes {len(checks)} attributes")
    for check, item in zip(checks, attributes, strict=False):
        if not check(item):
            raise EdgetuneError(f"{_shown(item)} is no attribute that {name} may have")
    if name in ("Annotate", "Unannotate") and (not attributes or attributes[0] not in ANNOTATIONS):
        raise EdgetuneError(f"{_shown(attributes[0] if attributes else None)} is not among the allowed annotations")
    if len(inputs) > MAX_INPUTS or len(outputs) > MAX_INPUTS:
        raise EdgetuneError(f"more than {MAX_INPUTS} inputs or outputs")
    for position, item in enumerate(inputs):
        if not (isinstance(item, str) and item in defined):
            _check_input(name, position, item, defined)
        elif name == "Annotate" and position > 0 and not defined[item]:
            raise EdgetuneError(f"{item} may be too large for an annotation")
    small = name == "SampleCategorical" and all(abs(n) <= MAX_ANNOTATION for n in attributes[0] if attributes)
    for item in outputs:
        if not (isinstance(item, str) and _is_variable(item)):
            raise EdgetuneError("an output is not a random variable")
        if item in defined:
            raise EdgetuneError(f"{item} is defined twice")
        defined[item] = small
    if len(defined) > MAX_VARIABLES:
        raise EdgetuneError(f"the trace defines more than {MAX_VARIABLES} variables")


def _check_input(name: str, position: int, item: Any, defined: dict[str, bool]) -> None:
    """An input that is no variable: a factor of Split, an annotation's value, an index map, a list of variables."""
    if name == "Split" and position > 0 and (item == "None" or (not isinstance(item, str) and _number(item))):
        return
    if name == "TransformLayout" and position == 1 and isinstance(item, str) and item.startswith("{"):
        check_index_map(item)
        return
    if name == "Annotate" and position == 1:
        _check_annotation(item)
        return
    if name in ("CacheRead", "CacheWrite", "Blockize") and _list_of(lambda i: isinstance(i, str) and i in defined)(
        item
    ):
        return
    if isinstance(item, str):
        raise EdgetuneError(f"{_shown(item)} is not defined before it is used, or {name} takes no such input")
    raise EdgetuneError(f"a {type(item).__name__} is no input of {name}")


def _check_annotation(value: Any) -> None:
    """A quoted name, a small number, or a list of such."""
    if isinstance(value, list) and len(value) <= MAX_INPUTS:
        for item in value:
            _check_annotation(item)
    elif isinstance(value, str):
        if not (len(value) >= 2 and value[0] == value[-1] == '"' and _NAME.fullmatch(value[1:-1])):
            raise EdgetuneError(f"{_shown(value)} is not a plain name")
    elif not isinstance(value, (int, float)):
        raise EdgetuneError(f"a {type(value).__name__} has no place in an annotation")
    elif not -MAX_ANNOTATION <= value <= MAX_ANNOTATION:
        raise EdgetuneError(f"the number {value} is too large for an annotation")


@lru_cache(maxsize=10_000)
def _is_variable(text: str) -> bool:
    return _VARIABLE.fullmatch(text) is not None


def _plain_integers(value: Any) -> bool:
    if isinstance(value, list):
        return all(_plain_integers(item) for item in value)
    return type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER


def _shown(value: Any) -> str:
    return repr(str(value)[:60])
