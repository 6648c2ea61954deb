"""What is done with a trace in a process with limits: apply it to the local kernel, and see what that would need.

A trace that applies can still be meant to exhaust a compiler or a run: loops that are unrolled a million times, vectors
of as many lanes, buffers and loops of astronomic size. What is found here is found before code is generated from it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from compiler.errors import EdgetuneError
from compiler.records.index_maps import IndexMap, read_index_map
from compiler.records.trace_rules import MAX_ANNOTATION, check_trace
from compiler.records.trust.accesses import check_accesses
from compiler.records.trust.launch import check_launch
from compiler.report import format as fmt

if TYPE_CHECKING:
    import tvm
    from tvm import s_tir

MAX_LANES = 256
MAX_UNROLLED = 1_024  # copies of a statement; with more than some thousands LLVM takes minutes
MAX_CODE = 4_096  # copies of all statements, vectors of more lanes than any CPU has counted as several
LANES = 64
MAX_EXTRA_BYTES = 64 << 20
MAX_BYTES_FACTOR = 16  # of the kernel's own tensors
MAX_EXTRA_STEPS = 1 << 20
MAX_STEPS_FACTOR = 64  # of the unscheduled kernel's
MAX_STATEMENTS = 20_000
ENDLESS = 1 << 40  # steps of one loop
MAP_SAMPLES = 4_096
WARP_ROWS = 16  # of a tile of tensor cores
MAX_WARP_ROWS = 256  # that a warp computes
PACKING = "meta_schedule.layout_rewrite_preproc"


@dataclass
class Needs:
    """What a kernel needs: bytes of its buffers, executed statements, lanes of its widest vector, copies of the
    statement that is unrolled most, copies of all statements together, and statements before that."""

    allocated: int = 0
    steps: int = 0
    lanes: int = 1
    unrolled: int = 1
    code: int = 0
    statements: int = 0


def examine(module: str, trace: str) -> str | None:
    """None where `trace` applies to `module` (TVM's JSON of {"main": PrimFunc}) and asks for nothing out of the
    ordinary, else the reason, in one line. May raise what TVM raises.
    """
    from tvm_ffi.serialization import from_json_graph_str

    from compiler.records.workload import replay

    mod = from_json_graph_str(module)
    try:
        value = json.loads(trace)
        check_trace(value)
        schedule = replay(trace, mod)
        _check_maps(value, mod)
        _check_needs(mod, schedule.mod)
        check_launch(schedule.mod["main"])
        _check_packing(schedule.mod["main"])
        _check_accesses(schedule.mod)
    except EdgetuneError as error:
        return str(error)
    return None


def examine_kernel(ir: str, digest: str) -> str | None:
    """None where `ir`, an imported workload's, is read as a kernel with the hash `digest`, else the reason.

    May raise what TVM raises.
    """
    from compiler.records.record import Workload
    from compiler.records.trust.kernel_rules import check_kernel
    from compiler.records.workload import load_workload, workload_of

    try:
        check_kernel(ir)
        mod = load_workload(Workload(digest, "", ir))
        if workload_of(mod).hash != digest:
            raise EdgetuneError("its hash is another kernel's")
        if [str(var.name_hint) for var in mod.get_global_vars()] != ["main"]:
            raise EdgetuneError("it is not one function called main")
        needs(mod["main"])
    except EdgetuneError as error:
        return str(error)
    return None


def needs(func: Any) -> Needs:
    """What a function needs, by its loops and blocks. Raises EdgetuneError where that cannot be told."""
    from tvm.sym import Analyzer

    found = Needs()
    for buffer in func.params:
        found.allocated += _bytes(buffer)
    _walk(func.body, found, 1, 1, Analyzer())
    return found


def _check_needs(plain: tvm.IRModule, scheduled: tvm.IRModule) -> None:
    before, after = needs(plain["main"]), needs(scheduled["main"])
    if after.allocated > MAX_BYTES_FACTOR * before.allocated + MAX_EXTRA_BYTES:
        raise EdgetuneError(
            f"it needs {fmt.size(after.allocated)} of buffers, the kernel itself {fmt.size(before.allocated)}"
        )
    if after.steps > MAX_STEPS_FACTOR * before.steps + MAX_EXTRA_STEPS:
        raise EdgetuneError(f"it takes {after.steps} steps, the kernel itself {before.steps}")
    if after.lanes > MAX_LANES:
        raise EdgetuneError(f"it computes with vectors of {after.lanes} lanes")
    if after.unrolled > MAX_UNROLLED:
        raise EdgetuneError(f"it unrolls a statement {after.unrolled} times")
    if after.code > MAX_CODE:
        raise EdgetuneError(f"it unrolls its statements to {after.code}")
    if after.statements > MAX_STATEMENTS:
        raise EdgetuneError(f"it has {after.statements} statements")


def _walk(statement: Any, found: Needs, times: int, copies: int, analyzer: Any) -> None:
    from tvm import ir, s_tir, tirx

    found.statements += 1
    if isinstance(statement, tirx.SeqStmt):
        for part in statement.seq:
            _walk(part, found, times, copies, analyzer)
    elif isinstance(statement, tirx.For):
        extent = int(analyzer.const_int_bound(statement.extent).max_value)
        if extent >= ENDLESS:
            raise EdgetuneError("it has a loop without an end that could be told")
        analyzer.bind(statement.loop_var, ir.Range.from_min_extent(statement.min, max(extent, 1)))
        kind = int(statement.kind)
        if kind == int(tirx.ForKind.VECTORIZED):
            found.lanes = max(found.lanes, extent)
        if kind == int(tirx.ForKind.UNROLLED):
            copies *= max(1, extent)
        elif kind == int(tirx.ForKind.VECTORIZED):
            copies *= max(1, extent // LANES)
        _check_annotations(statement.annotations)
        _walk(statement.body, found, times * extent, copies, analyzer)
    elif isinstance(statement, s_tir.SBlockRealize):
        block = statement.block
        _check_annotations(block.annotations)
        found.allocated += sum(_bytes(buffer) for buffer in block.alloc_buffers)
        if block.init is not None:
            _walk(block.init, found, times, copies, analyzer)
        _walk(block.body, found, times, copies, analyzer)
    elif isinstance(statement, tirx.IfThenElse):
        _walk(statement.then_case, found, times, copies, analyzer)
        if statement.else_case is not None:
            _walk(statement.else_case, found, times, copies, analyzer)
    else:
        found.steps += times
        found.unrolled = max(found.unrolled, copies)
        found.code += copies


def _check_annotations(annotations: Any) -> None:
    """A number may have come into an annotation as a random variable's value."""
    for key, value in annotations.items():
        number = getattr(value, "value", value)
        if isinstance(number, int) and abs(number) > (MAX_UNROLLED if "unroll" in str(key) else MAX_ANNOTATION):
            raise EdgetuneError(f"the annotation {key} is {number}")


def _check_packing(func: Any) -> None:
    """What is marked as packing of weights is taken out of the kernel and done once, when the model is compiled. Raises
    EdgetuneError unless it is that: a copy of a weight, one element after another.
    """
    from tvm import s_tir, tirx

    free = func.attrs["layout_free_buffers"] if func.attrs and "layout_free_buffers" in func.attrs else []
    weights = [func.params[int(index)] for index in free]
    waiting = [func.body]
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, tirx.SeqStmt):
            waiting += list(statement.seq)
        elif isinstance(statement, tirx.For):
            waiting.append(statement.body)
        elif isinstance(statement, s_tir.SBlockRealize):
            block = statement.block
            if PACKING in block.annotations:
                value = getattr(block.body, "value", None)
                source = getattr(value, "source", None)
                if not (
                    isinstance(block.body, tirx.BufferStore)
                    and block.init is None
                    and source is not None
                    and any(source.same_as(weight) for weight in weights)
                ):
                    raise EdgetuneError(
                        f"block {block.name_hint} is marked as packing of weights and is something else"
                    )
            waiting.append(block.body)


def _check_accesses(scheduled: tvm.IRModule) -> None:
    from tvm.s_tir.analysis import OOBChecker

    try:
        OOBChecker()(scheduled)
    except Exception:  # noqa: BLE001 - TVM raises whatever its C++ side threw
        check_accesses(scheduled["main"])


def _check_maps(value: Any, mod: tvm.IRModule) -> None:
    """Raises EdgetuneError where an index map of a layout says what is not so: an inverse that is none, or two elements
    of a buffer in one place. TVM believes both.
    """
    instructions, decisions = value
    for position, (name, inputs, attributes, _) in enumerate(instructions):
        if name != "TransformLayout":
            continue
        index_map = read_index_map(inputs[1])
        before = [instructions[:position], [d for d in decisions if d[0] < position]]
        buffer = _buffer(before, mod, inputs[0], attributes)
        shape = tuple(_constant(extent) for extent in buffer.shape)
        if not (str(buffer.scope()) == "shared" and _is_slices(index_map, shape)):
            _check_map(index_map, shape)


def _check_map(index_map: IndexMap, shape: tuple[int, ...]) -> None:
    if index_map.inputs != len(shape):
        raise EdgetuneError(f"a layout is changed by a map of {index_map.inputs} indices, the buffer has {len(shape)}")
    seen: set[tuple[int, ...]] = set()
    for place in _places(shape):
        image = index_map(place)
        if min(image, default=0) < 0 or image in seen:
            raise EdgetuneError("a layout is changed by a map that puts two elements into one place")
        seen.add(image)
        if index_map.inverse is not None and index_map.inverse(image) != place:
            raise EdgetuneError("a layout is changed by a map whose inverse is another map's")


def _is_slices(index_map: IndexMap, shape: tuple[int, ...]) -> bool:
    """Whether the map lays the results of warps, 16 rows after 16, into the same memory: (..., m, n) to
    (..., m // rows of a warp, m % 16, n), as the schedules for tensor cores do it.

    Whether the rows are those of a warp nobody can tell from the map: numbers tell, which are compared on a GPU.
    """
    if index_map.inputs != len(shape) or len(shape) < 2 or index_map.inverse is not None:
        return False
    *outer, rows, _ = shape
    first = [0] * len(outer)
    images = [index_map((*first, m, 0)) for m in range(min(rows, MAX_WARP_ROWS + 1))]
    if any(len(image) != len(shape) + 1 for image in images):
        return False
    own = next((m for m, image in enumerate(images) if image[-3]), rows)
    if own % WARP_ROWS or own > MAX_WARP_ROWS:
        return False
    return all(
        index_map(place) == (*place[:-2], place[-2] // own, place[-2] % WARP_ROWS, place[-1])
        for place in _places(shape)
    )


def _places(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The indices of all elements of a buffer, or of many drawn at random where there are more."""
    elements = int(np.prod(shape, dtype=object))
    chosen = random.Random(elements)  # noqa: S311 - which elements are looked at is no secret
    several = range(elements) if elements <= MAP_SAMPLES else sorted(chosen.sample(range(elements), MAP_SAMPLES))
    for element in several:
        place, rest = [], element
        for extent in reversed(shape):
            rest, index = divmod(rest, extent)
            place.append(index)
        yield tuple(reversed(place))


def _buffer(trace: list[Any], mod: tvm.IRModule, block: str, attributes: list[Any]) -> Any:
    """The buffer that an instruction after `trace` changes the layout of."""
    from tvm.s_tir import Schedule, Trace

    schedule: s_tir.Schedule = Schedule(mod, error_render_level="none")
    Trace.apply_json_to_schedule(trace, schedule)
    for written, applied in zip(trace[0], schedule.trace.insts, strict=True):
        if block in written[3]:
            found = schedule.get(applied.outputs[written[3].index(block)])
            region = (found.reads, found.writes)[attributes[1]][attributes[0]]
            return region.source
    raise EdgetuneError(f"{block} is not defined before its layout is changed")


def _bytes(buffer: Any) -> int:
    count = 1
    for extent in buffer.shape:
        count *= _constant(extent)
    return count * ((np.dtype(str(buffer.dtype)).itemsize) if str(buffer.dtype) != "bfloat16" else 2)


def _constant(value: Any) -> int:
    number = getattr(value, "value", value)
    if not isinstance(number, int):
        raise EdgetuneError("it has loops or buffers without a constant size")
    return number
