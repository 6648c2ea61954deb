"""Whether this machine can run a package, and as what.

Known from the manifest alone, and asked before any code is loaded.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import targets
from compiler.package import Manifest


def why_not_load(manifest: Manifest) -> str | None:
    """One line that says why this machine must not load the package, or None.

    Looks at the CPU features (or the GPU) that the target requires, and at the TVM version: compiled libraries rely on
    internals of the runtime, which change with TVM's minor versions.
    """
    try:
        target = _target(manifest)
    except targets.TargetError as error:
        return f"its target is unknown here: {error}"
    reason = targets.why_not_run(target)
    if reason is not None:
        return f"it is compiled for {manifest.target.name}: {reason}"
    try:
        installed = version("apache-tvm")
    except PackageNotFoundError:
        return "TVM is not installed: `pip install apache-tvm`"
    if _series(installed) != _series(manifest.tvm_version):
        return f"it was compiled by TVM {manifest.tvm_version} and this is TVM {installed}: compile the model again"
    return None


def identify(manifest: Manifest) -> tuple[str, str]:
    """(device, fingerprint) of this machine as one that runs the package; another one may have compiled it."""
    target = _target(manifest)
    return targets.device_name(target), targets.fingerprint(target).id


def _target(manifest: Manifest) -> targets.Target:
    cores = manifest.target.options.get("num-cores")
    target = targets.get(manifest.target.name, cores if isinstance(cores, int) and cores > 0 else None)
    # What the manifest requires counts even where the target of that name requires less in this version.
    requires = target.requires | frozenset(manifest.target.requires)
    return replace(target, options=manifest.target.options, requires=requires)


def _series(tvm_version: str) -> list[str]:
    return tvm_version.split(".")[:2]
