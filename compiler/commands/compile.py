"""`edgetune compile`: a model becomes a verified package."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import targets
from compiler.commands import parse
from compiler.commands.build_package import BuildRequest, build_package, check_place
from compiler.commands.device import THIS_MACHINE, DeviceOptions, Place, opened_place
from compiler.commands.hardware import must_compile, thread_count
from compiler.commands.inspect import package_facts
from compiler.commands.source import must_be_model
from compiler.commands.store import must_agree, records_at_hand
from compiler.places import make_folder
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps
from targets.cpuinfo import usable_cpus

_SHOWN = (
    *("model", "target", "batch", "precision", "threads", "tuned"),
    *("convolutions", "layout transforms", "kept in FP32", "CUDA graph", "verified"),
)


def compile_(
    source: str,
    output: Output,
    *,
    target: str,
    batch: int | None,
    precision: str,
    io_precision: str,
    shapes: Sequence[str],
    path: str | None,
    logs: str | None,
    seed: int,
    threads: int | None,
    dump: str | None,
    allow_unverified: bool,
    zero_trial: bool,
    cuda_graph: bool,
    no_cache: bool,
    device: DeviceOptions,
) -> None:
    """Build the package and say what is in it."""
    from compiler.frontend import load

    must_agree(logs, zero_trial)
    if device.local:  # what is wrong is said before anything is asked of a board
        must_compile(THIS_MACHINE.target(target, threads), precision)
    wanted = parse.shapes(shapes)
    must_be_model(source)
    if path is not None:
        check_place(Path(path), source)
    if dump is not None:
        make_folder(Path(dump), "--dump")
    with steps(output) as step, opened_place(device, step) as place:
        chosen = place.target(target, threads)
        must_compile(chosen, precision)
        if target == "native":
            place.must_have_cpus(threads)
        elif place.why_not_run(chosen) is None and not _has_cpus(chosen, place):
            # A machine of the same kind with more cores: this one still tells whether the results are right.
            output.note(f"the package computes with {thread_count(chosen)} threads; it is verified with fewer here")
        with records_at_hand(logs, chosen, zero_trial, place.machine) as store:
            step(f"Loading {source}")
            model = load(source, batch=batch, shapes=wanted or None, seed=seed)
            default = f"{model.name}-{chosen.name}-b{model.batch or 1}-{precision}.tar"
            package = build_package(
                BuildRequest(
                    model=model,
                    target=chosen,
                    path=Path(path or default),
                    precision=precision,
                    io_precision=io_precision,
                    seed=seed,
                    dump=Path(dump) if dump else None,
                    allow_unverified=allow_unverified,
                    place=place,
                    cuda_graph=cuda_graph,
                    reuse=not no_cache,
                ),
                store,
                output,
                step,
            )
    facts = package_facts(package.manifest)
    size = fmt.size(package.path.stat().st_size)
    output.facts({**{name: facts[name] for name in _SHOWN}, "size": size}, title=f"wrote {package.path}")
    untuned = len(package.manifest.untuned)
    if untuned and place.why_not_run(chosen) is None and _has_cpus(chosen, place):
        command = _tune_command(source, target, batch, precision, shapes, logs, threads, device)
        run = "1 task runs with an untuned schedule" if untuned == 1 else f"{untuned} tasks run with untuned schedules"
        output.note(f"{run}: `{command}` can make {'it' if untuned == 1 else 'them'} faster")
    output.json([{"path": str(package.path), "manifest": package.manifest}])


def _has_cpus(target: targets.Target, place: Place) -> bool:
    cpus = len(usable_cpus()) if place.identity is None else place.identity.cores
    return thread_count(target) <= cpus


def _tune_command(
    source: str,
    target: str,
    batch: int | None,
    precision: str,
    shapes: Sequence[str],
    logs: str | None,
    threads: int | None,
    device: DeviceOptions,
) -> str:
    """The command that tunes what was compiled, for a shell."""
    words = ["edgetune", "tune", source]
    words += ["--target", target] if target != "native" else []
    words += ["--batch", str(batch)] if batch is not None else []
    words += ["--precision", precision] if precision != "fp32" else []
    for shape in shapes:
        words += ["--shape", shape]
    words += ["--logs", logs] if logs is not None else []
    words += ["--threads", str(threads)] if threads is not None else []
    for option, value in (("--rpc", device.rpc), ("--key", device.key), ("--ssh", device.ssh)):
        words += [option, value] if value is not None else []
    return shlex.join(words)
