"""From a model to a verified package on disk: what `compile` does, and `bench` before it measures a model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import targets
from compiler.commands.device import THIS_MACHINE, Place
from compiler.commands.hardware import must_compile, thread_count
from compiler.commands.store import device_at_hand
from compiler.commands.verify import verify_package
from compiler.errors import EdgetuneError
from compiler.frontend.model import Model
from compiler.package import BEGINS, LIBRARY, KernelWork, Manifest, ModelInfo, Package, TargetInfo, UsedRecord, write
from compiler.places import must_replace
from compiler.records.canonical import check_text
from compiler.records.store import Store
from compiler.report.output import Output
from compiler.report.steps import Steps
from compiler.scratch import scratch_folder
from compiler.version import tool_version

if TYPE_CHECKING:
    from compiler.build import Built


@dataclass(frozen=True)
class BuildRequest:
    """What to build and where to put it. The package computes with as many threads as `target` has cores, and is
    verified at `place`."""

    model: Model
    target: targets.Target
    path: Path
    precision: str = "fp32"
    io_precision: str = "fp32"
    seed: int = 0
    dump: Path | None = None
    allow_unverified: bool = False
    place: Place = THIS_MACHINE
    cuda_graph: bool = True
    reuse: bool = True


def build_package(request: BuildRequest, store: Store | None, output: Output, step: Steps) -> Package:
    """Compile from the records in `store`, verify against ONNX Runtime, and only then write `request.path`.

    A package for hardware that the place is not cannot be verified there: it is written and says so. Raises
    EdgetuneError, with nothing left at `request.path`, when verification fails and `allow_unverified` is not given.
    """
    from compiler.build import compile_model

    must_compile(request.target)
    check_place(request.path, request.model.source)
    for tensor in (*request.model.inputs, *request.model.outputs):
        check_text(tensor.name, f"the name of a tensor of {request.model.name}")  # no package may hold it
    device = device_at_hand(request.target, store, request.place.machine)
    if device.device != targets.GENERIC and request.place.local and request.place.why_not_run(request.target):
        output.note(f"using the records of {device.device}, the only ones for {request.target.name} at hand")
    with scratch_folder("build") as folder, _draft(request.path) as draft:
        built = compile_model(
            request.model,
            request.target,
            folder / LIBRARY,
            precision=request.precision,
            io_precision=request.io_precision,
            store=store,
            device=device,
            dump=request.dump,
            report=lambda phase: step(f"Compiling {request.model.name}: {phase}"),
            cuda_graph=request.cuda_graph,
            reuse=request.reuse,
        )
        if built.reused:
            output.note("compiled before, and nothing has changed since: the library is from the cache")
        members: dict[str, Path | bytes] = {LIBRARY: built.library}
        manifest = _manifest(request, built, device)
        package = write(draft, members, manifest)
        why = request.place.why_not_run(request.target)
        if why is not None:
            output.warn(f"the package is not verified: {why}")
        else:
            step("Verifying against ONNX Runtime")
            manifest = _verified(request, package, output, step)
        # The verdict is part of the package, so it is written anew; the draft is not what anybody gets to see.
        return write(request.path, members, manifest)


def _verified(request: BuildRequest, package: Package, output: Output, step: Steps) -> Manifest:
    found = verify_package(package, request.model, seed=request.seed, place=request.place, say=step)
    if not found.ok and not request.allow_unverified:
        raise EdgetuneError(
            f"the package failed its verification and was not written: {'; '.join(found.problems)} "
            "(--allow-unverified keeps it all the same)"
        )
    for problem in found.problems:
        output.warn(f"verification FAILED: {problem}")
    return msgspec.structs.replace(package.manifest, accuracy=found.accuracy, verified=found.ok)


def _manifest(request: BuildRequest, built: Built, mark: targets.Fingerprint) -> Manifest:
    """What the package says of itself before it is verified."""
    model, target = request.model, request.target
    return Manifest(
        model=ModelInfo(
            name=model.name,
            source=model.source,
            sha256=model.sha256,
            batch=model.batch,
            shapes=dict(model.shapes),
            seed=model.seed,
        ),
        inputs=built.inputs,
        outputs=built.outputs,
        target=TargetInfo(name=target.name, options=target.config(), requires=sorted(target.requires)),
        fingerprint=mark.id,
        device=mark.device,
        precision=request.precision,
        batch=model.batch,
        threads=thread_count(target),
        tvm_version=targets.tvm_version(),
        tool_version=tool_version(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        records=[
            UsedRecord(task=str(task), workload=workload, record=record.id, seconds=record.median)
            for task, workload, record in built.used
        ],
        # str: names that come from TVM are of a class of its own, which no JSON writer takes.
        untuned=[str(task) for task in built.untuned],
        tasks=built.tasks,
        trials=built.trials,
        kernels={str(name): KernelWork(flops=flops, bytes=moved) for name, (flops, moved) in built.kernels.items()},
        algorithms=built.algorithms,
        layout_transforms=built.layout_transforms,
        kept_wide=built.kept_wide,
        kept_fp32=built.kept_fp32,
        cuda_graph=built.cuda_graph,
    )


def check_place(path: Path, source: str) -> None:
    """Raises EdgetuneError where no package of the model `source` can be written, before minutes are spent on it.

    UsageError where that would overwrite what is no package.
    """
    must_replace(path, "-o", kind="package", begins=BEGINS, sources=(source,))


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Where a package lies while it is not known to be right; gone afterwards."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft.tar")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)
