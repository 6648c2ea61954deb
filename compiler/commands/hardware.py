"""What several commands ask of targets: find one, refuse one, count its threads."""

from __future__ import annotations

import targets
from compiler.errors import EdgetuneError, UsageError
from compiler.packaging.manifest import Manifest, tensor_bytes
from compiler.precision import must_have
from compiler.report import format as fmt
from targets import cpuinfo


def find_target(name: str, threads: int | None = None, machine: targets.Machine | None = None) -> targets.Target:
    """The target called `name`, for `threads` cores where given, on this machine or another. Raises UsageError for an
    unknown name."""
    try:
        return targets.get(name, threads, machine)
    except targets.TargetError as error:
        raise UsageError(str(error)) from None


def must_compile(target: targets.Target, precision: str = "fp32") -> None:
    """Raises UsageError where no package can be built for `target` here, or none in this precision, saying what is
    missing."""
    must_have(target, precision)
    why = targets.why_not_compile(target)
    if why is not None:
        raise UsageError(f"cannot compile for {target.name} here: {why}")


def must_run(target: targets.Target, what: str, machine: targets.Machine | None = None) -> None:
    """Raises UsageError where the machine (default: this one) cannot execute code for `target`; `what` is what was to
    be done with it."""
    why = targets.why_not_run(target, machine)
    if why is not None:
        raise UsageError(f"cannot {what} for {target.name} {'here' if machine is None else 'there'}: {why}")


def must_tune(target: targets.Target) -> None:
    """Raises UsageError where candidates for `target` cannot be measured here, with the ways on."""
    why = targets.why_not_run(target)
    if why is None:
        must_compile(target)
        return
    cannot = targets.why_not_compile(target)
    compiled = (
        f"`edgetune compile --target {target.name}` without tuning"
        if cannot is None
        else f"`edgetune compile` without tuning (but {cannot})"
    )
    raise UsageError(
        f"cannot tune for {target.name} here: {why}. Three ways on: a board that has it, over RPC (--rpc "
        f"HOST:PORT or --ssh USER@BOARD); {compiled}; or another target, such as --target native"
    )


def must_have_cpus(threads: int | None) -> None:
    """Raises UsageError where this machine has fewer CPUs than the `threads` that are asked for."""
    from compiler.runtime.threads import compute_cpus

    if threads is not None:
        compute_cpus(threads)


def must_fit(manifest: Manifest) -> None:
    """Raises EdgetuneError where the inputs and outputs of a package do not fit into this machine's memory."""
    import psutil

    wanted = sum(tensor_bytes(tensor) for tensor in (*manifest.inputs, *manifest.outputs))
    free = psutil.virtual_memory().available
    if wanted > free:
        raise EdgetuneError(
            f"the package's inputs and outputs take {fmt.size(wanted)}, and this machine has {fmt.size(free)} free: "
            "compile the model with smaller shapes"
        )


def session_threads(wanted: int | None, packaged: int) -> int:
    """Threads to run a package with: what the user wants, else what it was compiled for, or all CPUs where fewer."""
    return wanted if wanted is not None else min(packaged, len(cpuinfo.usable_cpus()))


def thread_count(target: targets.Target) -> int:
    """How many CPU threads a package for `target` computes with."""
    cores = target.options.get("num-cores", (target.host or {}).get("num-cores"))
    return cores if isinstance(cores, int) else 1
