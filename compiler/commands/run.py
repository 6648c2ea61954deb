"""`edgetune run`: one inference with a package."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from compiler.commands.hardware import must_fit, must_have_cpus, session_threads
from compiler.commands.source import must_be_file, opened_package
from compiler.errors import EdgetuneError
from compiler.package import Manifest
from compiler.places import must_replace
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps

_TOP = 5
_NPZ = b"PK\x03\x04"


def run(
    package: str, output: Output, *, inputs: str | None, outputs: str | None, threads: int | None, seed: int
) -> None:
    """Run `package` on the arrays of the .npz file `inputs` (else random ones) and write the results to `outputs`."""
    from compiler.frontend.inputs import load_inputs, random_inputs
    from compiler.runtime.session import LocalSession

    must_have_cpus(threads)
    if inputs:
        must_be_file(inputs, "--inputs")
    if outputs:
        must_replace(Path(outputs), "--outputs", kind=".npz file", begins=_NPZ, sources=(package, inputs))
    opened = opened_package(package)
    manifest = opened.manifest
    must_fit(manifest)
    with steps(output) as step:
        step(f"Running {package}")
        values = load_inputs(inputs, manifest.inputs) if inputs else random_inputs(manifest.inputs, seed)
        with LocalSession(session_threads(threads, manifest.threads)) as session:
            executable = session.load(opened)
            results = executable.run(values)
            timing = executable.timed(values, runs=3)
    warn_if_unverified(output, manifest)
    if inputs is None:
        output.note(f"no --inputs: random ones were used (seed {seed})")
    output.table(
        ("output", "shape", "type", "min", "max", "mean", "largest at"), (_row(*item) for item in results.items())
    )
    output.say(f"one run took {fmt.milliseconds(min(timing.seconds))} ms (`edgetune bench` measures properly)")
    if outputs:
        save_arrays(outputs, results)
        output.say(f"outputs written to {outputs}")
    output.json(
        [
            {
                "package": str(opened.path),
                "engine": "edgetune",
                "engine_version": manifest.tool_version,
                "target": manifest.target.name,
                "seconds": min(timing.seconds),
                "outputs": [
                    {"name": name, "shape": list(array.shape), "dtype": array.dtype.name}
                    for name, array in results.items()
                ],
            }
        ]
    )


def warn_if_unverified(output: Output, manifest: Manifest) -> None:
    """Say what a package that was never found right must say for ever."""
    if manifest.verified:
        return
    accuracy = manifest.accuracy
    why = "was never verified" if accuracy is None else "FAILED its verification and was kept with --allow-unverified"
    output.warn(f"this package {why}: do not trust its outputs")


def save_arrays(path: str, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz file in one step. Raises EdgetuneError where that fails; nothing half-written is left."""
    final = Path(path)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        temporary.replace(final)
    except (OSError, ValueError) as error:
        raise EdgetuneError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _row(name: str, array: np.ndarray) -> tuple[object, ...]:
    numbers = array.astype(np.float64)
    largest = " ".join(str(index) for index in np.argsort(numbers.ravel())[::-1][:_TOP])
    figures = (numbers.min(), numbers.max(), numbers.mean()) if numbers.size else (None, None, None)
    return (name, fmt.shape(array.shape), array.dtype.name, *(_figure(value) for value in figures), largest)


def _figure(value: float | None) -> str | None:
    return None if value is None else str(value) if not np.isfinite(value) else fmt.significant(float(value))
