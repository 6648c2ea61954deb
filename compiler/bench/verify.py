"""Verification: does a package compute what the model means? ONNX Runtime in FP32 judges, `tolerance` is the law."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.bench.compare import Comparison
from compiler.bench.engine import cast_inputs
from compiler.bench.probes import probe_inputs
from compiler.bench.tolerance import tolerance
from compiler.bench.uncertainty import uncertainty, widened
from compiler.errors import UsageError
from compiler.frontend.model import Model
from compiler.packaging.manifest import Accuracy
from compiler.tensors import TensorSpec

REFERENCE = "onnxruntime fp32"

Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
Answer = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray] | None]
"""The outputs of a reference and, where there are such, its logits."""


@dataclass(frozen=True)
class Verification:
    """The figures for a result or a manifest, and in sentences what failed (empty when `accuracy.ok`).

    `comparable` is false where the reference itself holds NaN: that says nothing about the package.
    """

    accuracy: Accuracy
    problems: tuple[str, ...]
    comparable: bool = True

    @property
    def ok(self) -> bool:
        return self.accuracy.ok

    @property
    def verdict(self) -> str:
        """`right`, `WRONG` or, where the reference is no answer, `not comparable`."""
        return "right" if self.ok else "WRONG" if self.comparable else "not comparable"


@dataclass(frozen=True)
class Reference:
    """The truth about a model, as functions from inputs to outputs by name.

    `logits`, where the model ends in a softmax, maps an output's name to what goes into its softmax. `classifier`
    names the output that holds class scores. `inputs` are the tensors that the functions take. `shaken`, by a seed, is
    the same model with its operators rounding otherwise (`compiler.frontend.shaken`).
    """

    run: Run
    inputs: Sequence[TensorSpec]
    logits: Run | None = None
    classifier: str | None = None
    name: str = REFERENCE
    shaken: Callable[[int], Reference] | None = None


def onnx_reference(model: Model, threads: int | None = None) -> Reference:
    """ONNX Runtime on the model as it was loaded, in FP32."""
    from compiler.frontend import is_classifier, ort_session, pre_softmax_reference
    from compiler.frontend.shaken import shaken

    def runs(of: Model, renamed: Mapping[str, str]) -> Run:
        """`of` in ONNX Runtime; `renamed` maps its outputs' names to those that they are returned under."""
        session = ort_session(of, threads)

        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return dict(zip(renamed.values(), session.run(list(renamed), dict(inputs)), strict=True))

        return run

    def other(seed: int) -> Reference:
        names = [output.name for output in model.outputs]
        session = ort_session(shaken(model, seed), threads, optimise=False)
        return Reference(lambda arrays: dict(zip(names, session.run(names, dict(arrays)), strict=True)), model.inputs)

    inner = pre_softmax_reference(model)
    logits = None
    if inner is not None:
        pairs = zip(inner.outputs, model.outputs, strict=True)
        logits = runs(inner, {logit.name: output.name for logit, output in pairs if logit.name != output.name})
    return Reference(
        run=runs(model, {output.name: output.name for output in model.outputs}),
        inputs=model.inputs,
        logits=logits,
        classifier=model.outputs[0].name if is_classifier(model) else None,
        shaken=other,
    )


def verify(
    run: Run,
    specs: Sequence[TensorSpec],
    reference: Reference,
    inputs: Sequence[Mapping[str, np.ndarray]],
    precision: str,
) -> Verification:
    """Run both on every one of `inputs` and compare.

    `run` takes the tensors `specs`; inputs are rounded to their dtypes first, for the reference too: rounding the
    question is not the answer's error. Where FP32 fails, the reference is asked how far it can be trusted itself, and
    the tolerance is as wide as that (`compiler.bench.uncertainty`). Raises UsageError for an unknown precision, or when
    there are no inputs.
    """
    if not inputs:
        raise UsageError("verification needs at least one set of inputs")
    law = tolerance(precision)
    asked = [cast_inputs(reference.inputs, cast_inputs(specs, arrays)) for arrays in inputs]
    answers: list[Answer] = []
    ours = []
    comparison = Comparison(law, reference.classifier, constant=not reference.inputs)
    for arrays, exact in zip(inputs, asked, strict=True):
        ours.append(run(cast_inputs(specs, arrays)))
        answers.append((reference.run(exact), None if reference.logits is None else reference.logits(exact)))
        comparison.add(ours[-1], *answers[-1])
    doubt = None
    if comparison.problems and comparison.comparable and precision == "fp32":
        doubt = uncertainty(reference, asked, answers)
        wider = law if doubt is None else widened(law, doubt)
        if wider is not law:
            comparison = Comparison(wider, reference.classifier, constant=not reference.inputs)
            for outputs, answer in zip(ours, answers, strict=True):
                comparison.add(outputs, *answer)
    problems = tuple(comparison.problems)
    return Verification(
        Accuracy(
            reference=reference.name,
            max_abs_err=comparison.max_abs_err,
            rel_l2_err=comparison.rel_l2_err,
            top1_agreement=comparison.top1_agreement,
            inputs=comparison.inputs,
            ok=not problems,
            uncertainty=doubt,
        ),
        problems,
        comparison.comparable,
    )


def verify_model(
    run: Run,
    specs: Sequence[TensorSpec],
    model: Model,
    precision: str,
    *,
    inputs: Sequence[Mapping[str, np.ndarray]] | None = None,
    count: int = 4,
    seed: int = 0,
    threads: int | None = None,
) -> Verification:
    """Verify against ONNX Runtime on `inputs`, or on `count` seeded random ones.

    `run` and `specs` are an executable's `run` and `inputs`.
    """
    if inputs is None:
        inputs = probe_inputs(model.inputs, count, seed)
    return verify(run, specs, onnx_reference(model, threads), inputs, precision)
