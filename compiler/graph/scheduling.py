"""Giving kernels their schedules: from a record where one applies, else the zero-trial schedule of their family."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import tvm
from tvm import s_tir, tirx

import schedules.cpu
import schedules.cuda
from compiler.errors import EdgetuneError
from schedules.cpu import Space
from schedules.cpu.tiles import Hardware
from schedules.cuda.gpu import Gpu, gpu

_log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from targets import Target

# Attributes that say how a function came about; two kernels that compute the same are one task whatever these are.
ORIGIN = ("op_pattern", "edgetune.lrn", "edgetune.concat", "global_symbol")


def cpu_hardware(target: Target) -> Hardware:
    """What CPU schedules ask of `target`; EdgetuneError where it does not say how wide its vectors are."""
    if target.kind == "cuda":
        raise EdgetuneError(f"{target.name} is a GPU, and this is there for CPUs only")
    if target.hardware.vector_bits is None or target.hardware.vector_registers is None:
        raise EdgetuneError(f"there are no schedules for {target.name}: how wide its vectors are is not known")
    return cast("Hardware", target.hardware)


def hardware_of(target: Target) -> Hardware | Gpu:
    """What schedules ask of `target`; EdgetuneError where it does not say enough."""
    if target.kind != "cuda":
        return cpu_hardware(target)
    known = target.hardware
    arch, sms = str(target.options["arch"]), known.sm_count
    if sms is None:
        raise EdgetuneError(f"no schedules for {target.name}: how many multiprocessors it has is not known")
    return gpu(int(arch.removeprefix("sm_")), sms, known.registers_per_sm, known.memory_gb_s)


def as_task(func: tirx.PrimFunc) -> tvm.IRModule:
    """The kernel `func` as a module of its own, {"main": func}, the same for every model that it occurs in."""
    for name in ORIGIN:
        if func.attrs and name in func.attrs:
            func = func.without_attr(name)
    func = func.with_attr("global_symbol", "main").with_attr("tirx.noalias", True)
    return tvm.IRModule({"main": func})


def schedulable(func: tirx.PrimFunc) -> bool:
    """Whether schedules can take `func`: sorting, scanning and scattering come from TVM as one opaque block."""
    return isinstance(func.body, s_tir.SBlockRealize) and str(func.body.block.name_hint) == "root"


def pack_weights(sch: s_tir.Schedule) -> None:
    """Postprocess a schedule: weights whose layout is free are packed in the order in which they are read."""
    from tvm.s_tir.meta_schedule.postproc import RewriteLayout

    sch.enter_postproc()
    if not RewriteLayout().apply(sch):
        raise RuntimeError("the weights of a kernel could not be laid out")


def _scheduled(task: tvm.IRModule, spaces: Iterable[Space], pack: bool = False) -> Iterator[s_tir.Schedule]:
    """`task` by each of `spaces` that applies to it, weights packed if they are to be."""
    for space in spaces:
        sch = s_tir.Schedule(task, debug_mask="none", error_render_level="none")
        try:
            space(sch)
            if pack:
                pack_weights(sch)
        except Exception as error:  # noqa: BLE001 - TVM's schedule errors have no common type; the next one is tried
            _log.debug("a schedule does not apply: %s", error)
            continue
        yield sch


def _families(task: tvm.IRModule, hardware: Hardware | Gpu) -> tuple[list[Space], list[Space]]:
    """The spaces of the family that `task` is of, and those of the last resort."""
    base = s_tir.Schedule(task, debug_mask="none", error_render_level="none")
    if isinstance(hardware, Gpu):
        return schedules.cuda.spaces(base, hardware), schedules.cuda.elementwise.spaces(base, hardware)
    return schedules.cpu.spaces(base, hardware), schedules.cpu.generic.spaces(base, hardware)


def design_spaces(task: tvm.IRModule, hardware: Hardware | Gpu) -> list[s_tir.Schedule]:
    """The schedules of `task` with their sampled decisions, one per design space, the zero-trial one first.

    A space that does not apply to this kernel is left out. The list is never empty: the last resort is the kernel
    as it is.
    """
    for spaces in _families(task, hardware):
        found = [_shortened(sch, task) for sch in _scheduled(task, spaces)]
        if found:
            return found
    return [s_tir.Schedule(task, debug_mask="none", error_render_level="none")]


def _shortened(sch: s_tir.Schedule, task: tvm.IRModule) -> s_tir.Schedule:
    """`sch` by a trace without the instructions that only looked around."""
    short = s_tir.Schedule(task, debug_mask="none", error_render_level="none")
    sch.trace.simplified(remove_postproc=True).apply_to_schedule(short, remove_postproc=True)
    return short


def zero_trial(task: tvm.IRModule, hardware: Hardware | Gpu) -> s_tir.Schedule:
    """The schedule that a kernel gets without tuning, weights packed; on GPUs they are read as they are.

    Raises EdgetuneError where none applies on a GPU, which runs nothing that is not given to threads.
    """
    family, last_resort = _families(task, hardware)
    for sch in _scheduled(task, (*family, *last_resort), pack=not isinstance(hardware, Gpu)):
        return sch
    if isinstance(hardware, Gpu):
        raise EdgetuneError("no schedule for GPUs applies")
    return s_tir.Schedule(task, debug_mask="none", error_render_level="none")


def plain(task: tvm.IRModule, hardware: Hardware | Gpu) -> s_tir.Schedule:
    """`task` with the schedule of no family, to compare others with; weights are not packed."""
    _, last_resort = _families(task, hardware)
    for sch in _scheduled(task, last_resort):
        return sch
    return s_tir.Schedule(task, debug_mask="none", error_render_level="none")


@dataclass(frozen=True)
class Kernel:
    """A scheduled kernel: the function's name in the module, the task it is, and whether a record scheduled it."""

    name: str
    task: tvm.IRModule
    tuned: bool


def schedule_module(
    mod: tvm.IRModule,
    hardware: Hardware | Gpu,
    recorded: Callable[[tvm.IRModule], s_tir.Schedule | None],
) -> tuple[tvm.IRModule, list[Kernel]]:
    """Schedule every kernel of `mod` that can be: by `recorded(task)` if that gives a schedule, else with no tuning.

    Raises EdgetuneError, naming the kernel, where a GPU cannot be given one.
    """
    out = mod.clone()
    kernels = []
    for gvar, func in mod.functions.items():
        if not isinstance(func, tirx.PrimFunc):
            continue
        if not schedulable(func):
            if isinstance(hardware, Gpu):
                raise EdgetuneError(f"kernel {gvar.name_hint} cannot run on a GPU yet: use a CPU target")
            continue
        task = as_task(func)
        sch = recorded(task)
        kernels.append(Kernel(gvar.name_hint, task, sch is not None))
        if sch is None:
            try:
                sch = zero_trial(task, hardware)
            except EdgetuneError as error:
                raise EdgetuneError(f"kernel {gvar.name_hint} cannot run on a GPU yet: {error}") from None
        scheduled = sch.mod["main"].without_attr("global_symbol")
        out[gvar] = scheduled.with_attr("tirx.is_scheduled", True)
    return out, kernels
