"""`edgetune run`: one inference with a package."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from compiler.commands.device import DeviceOptions, opened_place
from compiler.commands.hardware import must_fit, must_have_cpus
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
    package: str,
    output: Output,
    *,
    inputs: str | None,
    outputs: str | None,
    threads: int | None,
    seed: int,
    device: DeviceOptions,
) -> None:
    """Run `package` on the arrays of the .npz file `inputs` (else random ones) and write the results to `outputs`."""
    from compiler.frontend.inputs import load_inputs, random_inputs

    if device.local:
        must_have_cpus(threads)
    if inputs:
        must_be_file(inputs, "--inputs")
    if outputs:
        must_replace(Path(outputs), "--outputs", kind=".npz file", begins=_NPZ, sources=(package, inputs))
    opened = opened_package(package)
    manifest = opened.manifest
    must_fit(manifest)
    with steps(output) as step, opened_place(device, step) as place:
        place.must_have_cpus(threads)
        values = load_inputs(inputs, manifest.inputs) if inputs else random_inputs(manifest.inputs, seed)
        with place.session(manifest, threads, step) as session:
            executable = session.load(opened)
            step(f"Running {package}")
            results = executable.run(values)
            timing = executable.timed(values, runs=3)
            transfers = show_transfers(session, executable)
    warn_if_unverified(output, manifest)
    if inputs is None:
        output.note(f"no --inputs: random ones were used (seed {seed})")
    output.table(
        ("output", "shape", "type", "min", "max", "mean", "largest at"), (_row(*item) for item in results.items())
    )
    where = "" if place.local else f" on {executable.device}"
    output.say(f"one run took {fmt.milliseconds(min(timing.seconds))} ms{where} (`edgetune bench` measures properly)")
    if transfers:
        output.say(f"transfers, which are not part of that: {transfers}")
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
                "device": executable.device,
                "seconds": min(timing.seconds),
                "outputs": [
                    {"name": name, "shape": list(array.shape), "dtype": array.dtype.name}
                    for name, array in results.items()
                ],
            }
        ]
    )


def show_transfers(session: object, executable: object) -> str:
    """What was carried to the board and back and how long that took; empty on this machine."""
    upload, tensors = getattr(session, "upload", None), getattr(executable, "transfers", [])
    parts = [("package", upload.bytes, upload.seconds)] if upload is not None else []
    if tensors:
        parts.append(("inputs and outputs", sum(t.bytes for t in tensors), sum(t.seconds for t in tensors)))
    return ", ".join(f"{what} {fmt.size(size)} in {seconds:.2f} s" for what, size, seconds in parts)


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
