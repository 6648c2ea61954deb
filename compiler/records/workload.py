"""The only module of this room that talks to TVM: kernels to workloads, schedules to traces and back."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_json
from compiler.records.record import Record, Workload, clean_error
from compiler.records.trace_rules import check_trace, normalise_trace

if TYPE_CHECKING:
    import tvm
    from tvm.s_tir import Schedule, Trace

_log = logging.getLogger(__name__)


def workload_of(mod: tvm.IRModule, name: str = "") -> Workload:
    """The workload of an IRModule {"main": PrimFunc}; `name` is for people.

    The hash is TVM's structural hash as 16 hex digits: it does not depend on the process, on variable names or on the
    machine, and it is the number that MetaSchedule's JSON files hold for the same module.
    """
    import tvm
    import tvm_ffi

    digest = tvm_ffi.structural_hash(mod) & (2**64 - 1)
    names = [str(var.name_hint) for var in mod.get_global_vars()]
    # TVM's String is a str that no encoder takes.
    return Workload(hash=f"{digest:016x}", name=name or "+".join(names), ir=str(tvm.ir.save_json(mod)))


def load_workload(workload: Workload) -> tvm.IRModule:
    """The module of a workload of this machine. Not for imported ones: TVM's reader trusts its input."""
    import tvm

    try:
        mod = tvm.ir.load_json(workload.ir)
    except Exception as error:  # noqa: BLE001 - TVM raises whatever its C++ side threw
        raise EdgetuneError(
            f"the IR of workload {workload.hash} does not load: {clean_error(str(error))[:300]}"
        ) from None
    if not isinstance(mod, tvm.IRModule):
        raise EdgetuneError(f"the IR of workload {workload.hash} is no module")
    return mod


def trace_text(source: Schedule | Trace) -> str:
    """The text that goes into Record.trace, from a schedule or its trace."""
    trace = getattr(source, "trace", source)
    return canonical_json(normalise_trace(_plain(trace.as_json())))


def replay(trace: str, mod: tvm.IRModule) -> Schedule:
    """Applies a trace's text to `mod` and returns the schedule.

    Raises EdgetuneError, in one line, when the trace holds what is not allowed or does not fit the module (another
    kernel, another TVM).
    """
    from tvm.s_tir import Schedule, Trace

    import schedules.cuda

    value = json.loads(trace)
    check_trace(value)
    named = [str(attributes[0]) for name, _, attributes, _ in value[0] if name == "Tensorize"]
    if named:
        if not schedules.cuda.may_name(named, mod):
            raise EdgetuneError("the trace rounds factors to TF32, and the kernel is FP32")
        schedules.cuda.register_intrinsics(named)
    schedule = Schedule(mod, error_render_level="none")
    try:
        Trace.apply_json_to_schedule(value, schedule)
    except Exception as error:  # noqa: BLE001 - TVM raises whatever its C++ side threw
        raise EdgetuneError(f"the trace does not apply to this kernel: {clean_error(str(error))[:300]}") from None
    return schedule


def apply_trace(record: Record, mod: tvm.IRModule) -> Schedule | None:
    """As `replay`, but None where the record does not apply (the reason goes to the log): records are only hints."""
    try:
        return replay(record.trace, mod)
    except EdgetuneError as error:
        _log.info("record %s skipped: %s", record.id[:12], error)
        return None


def _plain(value: Any) -> Any:
    """TVM's boxed numbers as Python's."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return str(value)  # not a String: see workload_of
    if value is None or isinstance(value, (bool, int, float)):
        return value
    number = getattr(value, "value", None)  # IntImm, FloatImm
    if isinstance(number, (bool, int, float)):
        return number
    raise EdgetuneError(f"a trace with a {type(value).__name__} cannot be kept")
