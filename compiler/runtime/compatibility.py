"""Whether this machine, or a board, can run a package, and as what.

Known from the manifest alone, and asked before any code is loaded.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import targets
from compiler.package import Manifest


def why_not_load(
    manifest: Manifest, machine: targets.Machine | None = None, tvm_version: str | None = None
) -> str | None:
    """One line that says why the machine (default: this one) must not load the package, or None.

    Looks at the CPU features (or the GPU) that the target requires, and at the version of the machine's TVM (default:
    the one installed here): compiled libraries rely on internals of the runtime, which change with its minor versions.
    """
    try:
        target = _target(manifest, machine)
    except targets.TargetError as error:
        return f"its target is unknown here: {error}"
    reason = targets.why_not_run(target, machine)
    if reason is not None:
        return f"it is compiled for {manifest.target.name}: {reason}"
    try:
        installed = tvm_version if tvm_version is not None else version("apache-tvm")
    except PackageNotFoundError:
        return "TVM is not installed: `pip install apache-tvm`"
    if _series(installed) != _series(manifest.tvm_version):
        runs = "this is" if machine is None else f"{machine.name} has"
        return f"it was compiled by TVM {manifest.tvm_version} and {runs} TVM {installed}: compile the model again"
    return None


def identify(manifest: Manifest, machine: targets.Machine | None = None) -> tuple[str, str]:
    """(device, fingerprint) of the machine (default: this one) that runs the package; another may have compiled it."""
    target = _target(manifest, machine)
    return targets.device_name(target, machine), targets.fingerprint(target, machine=machine).id


def _target(manifest: Manifest, machine: targets.Machine | None) -> targets.Target:
    cores = manifest.target.options.get("num-cores")
    target = targets.get(manifest.target.name, cores if isinstance(cores, int) and cores > 0 else None, machine)
    # What the manifest requires counts even where the target of that name requires less in this version.
    requires = target.requires | frozenset(manifest.target.requires)
    return replace(target, options=manifest.target.options, requires=requires)


def _series(tvm_version: str) -> list[str]:
    return tvm_version.split(".")[:2]
