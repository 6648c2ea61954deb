"""`edgetune verify`: a package's outputs beside those of ONNX Runtime in FP32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from compiler.bench.verify import Verification, verify_model
from compiler.commands.dataset import DataOptions
from compiler.commands.device import THIS_MACHINE, DeviceOptions, Place, Say, opened_place
from compiler.commands.hardware import must_fit, must_have_cpus, session_threads
from compiler.commands.source import must_be_file, opened_package
from compiler.errors import EdgetuneError, UsageError
from compiler.frontend.model import Model
from compiler.package import Accuracy, Package
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps

if TYPE_CHECKING:
    from compiler.bench.classified import Classification

RANDOM_INPUTS = 4


def verify(
    package: str,
    output: Output,
    *,
    inputs: str | None,
    threads: int | None,
    seed: int,
    device: DeviceOptions,
    data: DataOptions,
) -> None:
    """Verify `package` on the .npz file `inputs`, on a dataset, or on random ones.

    Raises EdgetuneError when it fails.
    """
    from compiler.bench.source import model_of
    from compiler.frontend.inputs import load_inputs

    if device.local:
        must_have_cpus(threads)
    if inputs:
        must_be_file(inputs, "--inputs")
    data.check()
    if inputs and data.dataset:
        raise UsageError("give either --inputs or --dataset")
    opened = opened_package(package)
    must_fit(opened.manifest)
    seen: Classification | None = None
    with steps(output) as step, opened_place(device, step) as place:
        place.must_have_cpus(threads)
        step("Loading the model")
        model = model_of(opened.manifest)
        if data.dataset is not None:
            seen = classify_package(opened, model, data, threads=threads, place=place, say=step)
        given = [load_inputs(inputs, opened.manifest.inputs)] if inputs else None
        if seen is None:
            step("Comparing with ONNX Runtime")
            found = verify_package(opened, model, inputs=given, threads=threads, seed=seed, place=place, say=step)
    if seen is not None:
        show_classification(output, str(opened.path), opened.manifest.precision, seen)
        output.json([{"package": str(opened.path), "classification": seen}])
        if not seen.ok:
            raise EdgetuneError(f"{package} failed its verification: {'; '.join(seen.problems)}")
        return
    show(output, opened, found)
    output.json([{"package": str(opened.path), "accuracy": found.accuracy, "problems": found.problems}])
    if not found.ok:
        raise EdgetuneError(f"{package} failed its verification: {'; '.join(found.problems)}")


def verify_package(
    package: Package,
    model: Model,
    *,
    inputs: Sequence[Mapping[str, np.ndarray]] | None = None,
    threads: int | None = None,
    seed: int = 0,
    place: Place = THIS_MACHINE,
    say: Say = lambda step: None,
) -> Verification:
    """Load `package`, on this machine or a board, and compare it with `model` in ONNX Runtime on this machine.

    Raises EdgetuneError where it cannot run there.
    """
    manifest = package.manifest
    with place.session(manifest, threads, say) as session:
        executable = session.load(package)
        return verify_model(
            executable.run,
            executable.inputs,
            model,
            manifest.precision,
            inputs=inputs,
            count=RANDOM_INPUTS,
            seed=seed,
            threads=session_threads(threads if place.local else None, manifest.threads),
        )


def classify_package(
    package: Package,
    model: Model,
    data: DataOptions,
    *,
    threads: int | None = None,
    place: Place = THIS_MACHINE,
    say: Say = lambda step: None,
) -> Classification:
    """Load `package`, on this machine or a board, and compare it with `model` in ONNX Runtime on all of `data`.

    Raises UsageError where the data do not fit.
    """
    from compiler.bench.classification import classify
    from compiler.bench.dataset import open_dataset
    from compiler.bench.verify import onnx_reference

    assert data.dataset is not None  # noqa: S101 - asked before
    manifest = package.manifest
    dataset = open_dataset(data.dataset, manifest.inputs, data.images)
    with place.session(manifest, threads, say) as session:
        executable = session.load(package)
        own = session_threads(threads if place.local else None, manifest.threads)
        say(f"Comparing with ONNX Runtime on {fmt.count(dataset.size, 'item')} of {dataset.name}")
        return classify(executable.run, executable.inputs, onnx_reference(model, own), dataset, manifest.precision)


def show_classification(output: Output, title: str, precision: str, seen: Classification) -> None:
    """How often it agrees with the reference, and how often both are right."""
    from compiler.bench.tolerance import tolerance

    def of(ours: float | None, theirs: float | None) -> str | None:
        return None if ours is None else f"{ours:.2%} (reference {theirs:.2%})"

    output.facts(
        {
            "data": f"{seen.dataset}, {fmt.count(seen.inputs, 'item')}, {seen.labelled} of them with a label",
            "reference": seen.reference,
            "precision": precision,
            "top-1 agreement": f"{seen.agreement:.2%}",
            "top-1 accuracy": of(seen.top1, seen.reference_top1),
            "top-5 accuracy": of(seen.top5, seen.reference_top5),
            "relative L2 error": f"{_error(seen.rel_l2_err)} (at most {tolerance(precision).rel_l2:.0e})",
            "verdict": "right" if seen.ok else "WRONG",
        },
        title=title,
    )


def show(output: Output, package: Package, found: Verification) -> None:
    """The figures, and the thresholds that they were held against."""
    from compiler.bench.tolerance import tolerance

    accuracy, limits = found.accuracy, tolerance(package.manifest.precision)
    output.facts(
        {
            "reference": f"{accuracy.reference}, {accuracy.inputs} sets of inputs",
            "precision": package.manifest.precision,
            "relative L2 error": f"{_error(accuracy.rel_l2_err)} (at most {limits.rel_l2:.0e}{_doubt(accuracy)})",
            "largest error": f"{_error(accuracy.max_abs_err)} (at most {limits.peak:.0e} of the largest value)",
            "top-1 agreement": fmt.share(accuracy.top1_agreement),
            "verdict": found.verdict,
        },
        title=str(package.path),
    )


def _doubt(accuracy: Accuracy) -> str:
    """What the reference's own uncertainty has to do with a limit."""
    from compiler.bench.uncertainty import MARGIN

    if accuracy.uncertainty is None:
        return ""
    return f", or {MARGIN:g} times the {accuracy.uncertainty:.1e} that the reference is uncertain by itself"


def _error(value: float | None) -> str:
    return "not comparable" if value is None else f"{value:.1e}"
