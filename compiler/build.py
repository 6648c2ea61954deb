"""Model + records + schedules -> the library of a package, and what its manifest says."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import targets
from compiler.errors import EdgetuneError
from compiler.precision import must_have, storage_of
from compiler.tensors import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tvm
    from tvm import s_tir

    from compiler.cuda.front import LoweredForGpus
    from compiler.frontend import Model
    from compiler.graph.passes.legalize import Choose
    from compiler.graph.pipeline import Dump, Lowered
    from compiler.records.record import Record
    from compiler.records.store import Store

_log = logging.getLogger(__name__)

Report = Callable[[str], None]


@dataclass
class Built:
    """A compiled model: its library on disk and what the manifest needs to know.

    `kernels` maps a function of the library to (arithmetic operations, bytes moved), None where unknown. `used` lists
    (task, workload, record) of tuned kernels, `untuned` the tasks without a record. `algorithms` counts convolutions by
    algorithm, `layout_transforms` what is left of transposes between kernels. `kept_wide` names weights, `kept_fp32`
    activations (with the largest magnitude seen) that FP16 cannot hold. `cuda_graph` is whether kernels are launched as
    a CUDA graph, `reused` whether the library was compiled before. `seconds` says where the time went.
    """

    library: Path
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    used: list[tuple[str, str, Record]]
    untuned: list[str]
    tasks: int
    trials: int
    kernels: dict[str, tuple[float | None, float | None]]
    algorithms: dict[str, int]
    layout_transforms: int
    kept_wide: list[str]
    kept_fp32: dict[str, float] = field(default_factory=dict)
    cuda_graph: bool = False
    reused: bool = False
    seconds: dict[str, float] = field(default_factory=dict)


def front(model: Model, io_precision: str = "fp32", dump: Path | None = None) -> tuple[tvm.IRModule, Dump | None]:
    """The model laid out for kernels (`graph.pipeline.lay_out`), and the function that dumps later phases."""
    from compiler.frontend import import_model
    from compiler.graph.passes.io_precision import io_precision as half_io
    from compiler.graph.pipeline import Dump, lay_out

    mod = import_model(model)
    if storage_of(io_precision) == "float16":
        mod = half_io(mod)
    dumper = Dump(dump / f"{model.name}-batch{model.batch or 0}") if dump is not None else None
    return lay_out(mod, dumper), dumper


def compile_model(
    model: Model,
    target: targets.Target,
    library: Path,
    *,
    precision: str = "fp32",
    io_precision: str = "fp32",
    store: Store | None = None,
    device: targets.Fingerprint | None = None,
    dump: Path | None = None,
    report: Report | None = None,
    cuda_graph: bool = True,
    reuse: bool = False,
    lowered: LoweredForGpus | None = None,
) -> Built:
    """Compile `model` for `target` into the shared library `library`.

    Kernels with a record for the fingerprint `device` (default: this machine's, as the target) get its schedule, the
    others the zero-trial schedule of their family. On GPUs: with `cuda_graph` the kernels are launched as a CUDA graph;
    with `reuse` a library that was compiled of the same before is taken from the user's cache, or put there;
    `lowered` is what `lower_for_gpus` gave for this model and these precisions, where several targets share it.
    Raises EdgetuneError where the target cannot be compiled for, UsageError where it does not have the precision.
    """
    reason = targets.why_not_compile(target)
    if reason is not None:
        raise EdgetuneError(reason)
    must_have(target, precision)
    storage = storage_of(precision)
    storage_of(io_precision)
    device = device if device is not None else targets.fingerprint(target)
    on_gpu = target.kind == "cuda"
    clock = _Clock(report)
    key = None
    if on_gpu and reuse and dump is None:
        with clock("look up"):
            key = _library_key(model, target, precision, io_precision, store, cuda_graph)
            built = None if key is None else _compiled_before(key, library, model, io_precision)
        if built is not None:
            built.seconds = clock.seconds
            return built
    from compiler.cuda import callback
    from compiler.cuda.checks import check_library
    from compiler.tvm_setup import prepare

    prepare(target.kind)
    if on_gpu:
        callback.register()
    from tvm import relax

    from compiler.cpu_front import front_for_cpus
    from compiler.cuda.front import lower_for_gpus
    from compiler.graph import pipeline, variants
    from compiler.graph.filling import filling
    from compiler.graph.scheduling import hardware_of, schedule_module
    from compiler.graph.work import bytes_moved, flops
    from compiler.records.trust.admission import admit
    from compiler.records.trust.numbers import ROUNDS, can_compare, compare_first
    from compiler.records.trust.verdicts import not_compared
    from compiler.records.workload import apply_trace, workload_of
    from schedules.cuda.gpu import Gpu

    hardware = hardware_of(target)
    identity = device.id
    doubtful = partial(_best_record, store, device, target)
    kept_fp32: dict[str, float] = {}
    chooser: Choose | None = None
    if on_gpu:
        with clock("import and lower"):
            shared = lowered if lowered is not None else lower_for_gpus(model, precision, io_precision, dump)
            kernels_and_calls, dumper, kept_fp32 = shared.lowered, shared.dumper, shared.kept_fp32
    else:
        fill = filling(hardware)
        with clock("import"):
            laid_out, dumper, kept_fp32 = front_for_cpus(model, target, precision, io_precision, dump)
        with clock("lower"):
            if store is not None and store.fingerprints().get(identity):
                expanded = variants.expand(laid_out, storage, fill)
                admit(store, {digest: task.mod for digest, task in expanded.tasks.items()}, doubtful)
                seconds = best_seconds(store, expanded.tasks, identity)
                chooser = lambda index, _: expanded.algorithm(index, seconds)  # noqa: E731
            kernels_and_calls = pipeline.lower(laid_out, storage, chooser, dumper, fill)
    if store is not None and chooser is None:
        with clock("look at records"):
            names = {gvar for gvar, _ in variants.calls(kernels_and_calls)}
            kernels_of = (variants.as_task(kernels_and_calls.mod[gvar]) for gvar in names)
            admit(store, {workload_of(task).hash: task for task in kernels_of}, doubtful)
    comparing = store is not None and can_compare(target)
    if store is not None and comparing:
        vetted = partial(_records, store, device=device, target=target, vetted=True)
        for _ in range(ROUNDS):
            tasks = _tasks_of(kernels_and_calls)
            if not any(not_compared(store, vetted(digest)[:1]) for digest in tasks):
                break
            with clock("compare imported kernels"):
                if not compare_first(store, tasks, vetted, target).quarantined or chooser is None:
                    break
                # What was quarantined may have decided about the algorithm of a layer, and hid what comes after it.
                admit(store, {digest: task.mod for digest, task in expanded.tasks.items()}, doubtful)
                seconds = best_seconds(store, expanded.tasks, identity)
                kernels_and_calls = pipeline.lower(laid_out, storage, chooser, dumper, fill)
    used: list[tuple[str, str, Record]] = []
    trials = 0

    def recorded(task: tvm.IRModule) -> s_tir.Schedule | None:
        nonlocal trials
        if store is None:
            return None
        digest = workload_of(task).hash
        trials += store.trials(digest, identity)
        known = _records(store, digest, device, target, vetted=True)
        unsure = not_compared(store, known) if comparing else []
        for record in (one for one in known if one not in unsure):
            sch = apply_trace(record, task)
            if sch is not None and (not on_gpu or _is_launched(sch)):
                used.append((digest, digest, record))
                return sch
        return None

    with clock("schedule"):
        mod, kernels = schedule_module(kernels_and_calls.mod, hardware, recorded)
        if dumper:
            dumper(mod, "scheduled")
    tvm_target = target.to_tvm()
    with clock("prepack"), tvm_target:
        mod = relax.transform.SplitLayoutRewritePreproc()(mod)
        mod = relax.transform.FoldConstant()(mod)
        mod = relax.transform.DeadCodeElimination(["main"])(mod)
        if dumper:
            dumper(mod, "prepacked")
    with clock("generate code"), tvm_target:
        executable = generate(mod, tvm_target, cuda_graph=on_gpu and cuda_graph)
    with clock("link"):
        link(executable, library, target)
        if isinstance(hardware, Gpu):
            check_library(library, str(target.options["arch"]), hardware)
    task_names = {workload_of(k.task).hash: k.name for k in kernels}
    # Prepacking split what packs weights off some functions, and renamed what is left of them.
    left = {gvar.name_hint for gvar in mod.get_global_vars()}
    final = {k.name: f"{k.name}_prepacked" if f"{k.name}_prepacked" in left else k.name for k in kernels}
    built = Built(
        library=library,
        inputs=_specs(model.inputs, io_precision),
        outputs=_specs(model.outputs, io_precision),
        used=[(task_names[digest], digest, record) for digest, _, record in used],
        untuned=sorted({k.name for k in kernels if not k.tuned}),
        tasks=len(task_names),
        trials=trials,
        kernels={final[k.name]: (flops(k.task), bytes_moved(k.task)) for k in kernels},
        algorithms=_count([a.value for a in kernels_and_calls.algorithms]),
        layout_transforms=sum("transpose" in name for name, _ in variants.calls(kernels_and_calls)),
        kept_wide=kernels_and_calls.kept_wide,
        kept_fp32=kept_fp32,
        cuda_graph=on_gpu and cuda_graph,
        seconds=clock.seconds,
    )
    if key is not None:
        _keep_library(key, built)
    return built


def _library_key(
    model: Model,
    target: targets.Target,
    precision: str,
    io_precision: str,
    store: Store | None,
    cuda_graph: bool,
) -> str | None:
    """What a library is called in the user's cache; None where it is not kept there: records for this target may give
    other schedules, and are asked every time."""
    from compiler.cuda.files import key_of
    from compiler.cuda.identity import parts_of

    if store is not None and _has_records_of_gpus(store):
        return None
    parts = parts_of(model, target, [precision, io_precision, f"graph {cuda_graph}"])
    return None if parts is None else key_of(parts)


def _has_records_of_gpus(store: Store) -> bool:
    """Whether the store knows of any GPU: fingerprints begin with the target's name."""
    return any(name.startswith(("cuda", "jetson")) for name in store.fingerprints())


def _compiled_before(key: str, library: Path, model: Model, io_precision: str) -> Built | None:
    from compiler.cuda import libraries

    facts = libraries.known(key, library)
    if facts is None:
        return None
    return Built(
        library=library,
        inputs=_specs(model.inputs, io_precision),
        outputs=_specs(model.outputs, io_precision),
        used=[],
        untuned=facts.untuned,
        tasks=facts.tasks,
        trials=0,
        kernels=facts.kernels,
        algorithms=facts.algorithms,
        layout_transforms=facts.layout_transforms,
        kept_wide=facts.kept_wide,
        kept_fp32=facts.kept_fp32,
        cuda_graph=facts.cuda_graph,
        reused=True,
    )


def _keep_library(key: str, built: Built) -> None:
    from compiler.cuda import libraries

    facts = libraries.Facts(
        untuned=[str(name) for name in built.untuned],  # names that come from TVM are of a class of its own
        tasks=built.tasks,
        kernels={str(name): work for name, work in built.kernels.items()},
        algorithms=built.algorithms,
        layout_transforms=built.layout_transforms,
        kept_wide=built.kept_wide,
        kept_fp32=built.kept_fp32,
        cuda_graph=built.cuda_graph,
    )
    libraries.keep(key, built.library, facts)


def _tasks_of(lowered: Lowered) -> dict[str, tvm.IRModule]:
    """The kernels of a lowered model by workload hash."""
    from compiler.graph import variants
    from compiler.records.workload import workload_of

    tasks = (variants.as_task(lowered.mod[gvar]) for gvar in {gvar for gvar, _ in variants.calls(lowered)})
    return {workload_of(task).hash: task for task in tasks}


def _is_launched(sch: s_tir.Schedule) -> bool:
    """Whether all of a kernel is given to a GPU's threads: a record that does not must not fail the whole package."""
    from compiler.records.trust.launch import check_launch

    try:
        check_launch(sch.mod["main"], threads=True)
    except EdgetuneError as error:
        _log.info("a record is passed over: %s", error)
        return False
    return True


RECORDS_TRIED = 5
"""Records of a kernel that are applied, the best first, until one fits."""


def _records(
    store: Store, workload: str, device: targets.Fingerprint, target: targets.Target, *, vetted: bool
) -> list[Record]:
    """What could schedule a kernel here: what was measured on this fingerprint, else on it with another TVM.

    With `vetted`, nothing that was imported and not looked at.
    """
    found = store.top(workload, device.id, RECORDS_TRIED, vetted=vetted)
    if found:
        return found
    other = store.best_other_version(
        workload,
        device=device.device,
        target=target.config(),
        threads=target.cores,
        tvm_version=device.tvm_version,
        vetted=vetted,
    )
    return [] if other is None else [other]


def _best_record(
    store: Store | None, device: targets.Fingerprint, target: targets.Target, workload: str
) -> list[Record]:
    """What would schedule a kernel here, were all records trusted."""
    return [] if store is None else _records(store, workload, device, target, vetted=False)[:1]


def best_seconds(store: Store, hashes: Iterable[str], fingerprint: str) -> dict[str, float]:
    """The best record's median, in seconds, of each workload that has one for `fingerprint`."""
    found = {}
    for digest in hashes:
        record = store.best(digest, fingerprint, vetted=True)
        if record is not None and record.median is not None:
            found[digest] = record.median
    return found


def generate(mod: tvm.IRModule, target: tvm.target.Target, *, cuda_graph: bool = False) -> tvm.relax.VMExecutable:
    """Machine code for a module whose kernels are scheduled; with `cuda_graph`, launched as a CUDA graph."""
    import tvm
    from tvm import relax

    from compiler.cuda.lowering import lowering as context
    from compiler.graph.passes.cuda_graphs import cuda_graphs
    from compiler.graph.passes.in_place import in_place
    from compiler.graph.passes.workspaces import workspaces
    from compiler.parallel.extent import announce_extents

    captured = [tvm.transform.module_pass(lambda mod, _: cuda_graphs(mod), opt_level=0)] if cuda_graph else []
    lowering = tvm.transform.Sequential(
        [
            relax.transform.ToNonDataflow(),
            relax.transform.RemovePurityChecking(),
            relax.transform.CallTIRRewrite(),
            relax.transform.StaticPlanBlockMemory(),
            *captured,
            relax.transform.LowerAllocTensor(),
            relax.transform.KillAfterLastUse(),
            relax.transform.LowerRuntimeBuiltin(),
            relax.transform.ComputePrimValue(),
            relax.transform.VMShapeLower(),
            relax.transform.AttachGlobalSymbol(),
        ]
    )
    mod = in_place(mod)
    if cuda_graph and target.kind.name == "cuda":
        mod = workspaces(mod)
    with context(target):
        return tvm.compile(announce_extents(mod), target=target, relax_pipeline=lowering)


def link(executable: tvm.relax.VMExecutable, library: Path, target: targets.Target) -> None:
    """Link the executable into the shared library at `library`."""
    from compiler.linker import export, linker

    host = target.host if target.host is not None else target.options
    triple = str(host["mtriple"]) if "mtriple" in host else None
    export(executable, library, linker(triple))


def _specs(specs: list[TensorSpec], precision: str) -> list[TensorSpec]:
    if storage_of(precision) != "float16":
        return list(specs)
    return [TensorSpec(s.name, s.shape, "float16" if s.dtype == "float32" else s.dtype) for s in specs]


def _count(values: list[str]) -> dict[str, int]:
    return {value: values.count(value) for value in dict.fromkeys(values)}


class _Clock:
    """Times the steps of a build and tells each as it begins."""

    def __init__(self, report: Report | None) -> None:
        self.report = report
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        if self.report:
            self.report(step)
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = time.perf_counter() - started
