"""Verification: what passes, and above all what must not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.bench.compare import NO_SPREAD
from compiler.bench.verify import Reference, verify
from compiler.errors import UsageError
from compiler.tensors import TensorSpec

SPECS = [TensorSpec("x", (4, 10), "float32")]
INPUTS = [{"x": np.random.default_rng(seed).normal(size=(4, 10)).astype("float32")} for seed in range(3)]


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype("float32")


def plain(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"y": inputs["x"] * 2}


def check(run, reference=plain, precision="fp32", inputs=INPUTS, **more):  # type: ignore[no-untyped-def]
    return verify(run, SPECS, Reference(run=reference, inputs=SPECS, **more), inputs, precision)


def test_equal_outputs_pass() -> None:
    verification = check(plain, classifier="y")
    assert verification.ok
    assert verification.problems == ()
    accuracy = verification.accuracy
    assert (accuracy.max_abs_err, accuracy.rel_l2_err, accuracy.top1_agreement, accuracy.inputs) == (0, 0, 1.0, 3)
    assert accuracy.reference == "onnxruntime fp32"


def test_no_classifier_has_no_top1() -> None:
    assert check(plain).accuracy.top1_agreement is None


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (lambda x: {"y": x["x"] * 2.01}, "off by .* \\(relative L2\\)"),
        (lambda x: {"y": np.full_like(x["x"], np.nan)}, "holds NaN"),
        (lambda x: {"y": np.where(x["x"] > 2, np.inf, x["x"] * 2)}, "infinities"),
        (lambda x: {"y": (x["x"] * 2)[:, :5]}, "has shape"),
        (lambda x: {"z": x["x"] * 2}, "output y is missing"),
        (lambda x: {"y": x["x"] * 0}, "off by"),
    ],
)
def test_wrong_outputs_fail(wrong, problem: str) -> None:  # type: ignore[no-untyped-def]
    verification = check(wrong)
    assert not verification.ok
    assert not verification.accuracy.ok
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError("; ".join(verification.problems))


def test_one_wrong_element_fails() -> None:
    large = [
        {"x": np.random.default_rng(0).normal(size=(1, 10**6)).astype("float32")},
        {"x": np.ones((1, 10**6), "float32")},
    ]

    def wrong(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        y = inputs["x"] * 2
        y[0, 77] += 0.1
        return {"y": y}

    verification = check(wrong, inputs=large)
    assert verification.accuracy.rel_l2_err is not None
    assert verification.accuracy.rel_l2_err < 5e-4
    assert "an element of output y" in verification.problems[0]


def test_precisions_differ_in_what_they_allow() -> None:
    def rounded(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": (inputs["x"] * 2 * 1.004).astype("float16")}

    assert not check(rounded).ok
    assert check(rounded, precision="fp16").ok
    with pytest.raises(UsageError, match="choose from fp32, fp16, tf32, bf16"):
        check(plain, precision="int8")
    with pytest.raises(UsageError, match="at least one"):
        check(plain, inputs=[])


def test_inputs_are_rounded_for_both() -> None:
    """The package takes float16: what the rounding of its inputs changes is not its error."""
    specs = [TensorSpec("x", (4, 10), "float16")]
    seen = []

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.append(inputs["x"].dtype.name)
        return {"y": inputs["x"].astype("float32") * 2}

    verification = verify(run, specs, Reference(run=plain, inputs=SPECS), INPUTS, "fp32")
    assert seen == ["float16"] * 3
    assert verification.accuracy.max_abs_err == 0


def test_references_without_spread_prove_nothing() -> None:
    def constant(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": np.full((4, 10), 0.25, "float32")}

    def saturated(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": np.tile(np.eye(10, dtype="float32")[3], (4, 1))}

    for useless in (constant, saturated):
        verification = check(useless, useless)
        assert verification.problems == (NO_SPREAD,)
        assert verification.accuracy.max_abs_err == 0
    assert check(constant, constant, inputs=INPUTS[:1]).problems == (NO_SPREAD,)
    zeros = check(lambda x: {"y": x["x"] * 0}, lambda x: {"y": x["x"] * 0})
    assert zeros.problems == (NO_SPREAD,)


def test_a_reference_with_nan_proves_nothing() -> None:
    verification = check(plain, lambda x: {"y": np.full((4, 10), np.nan)})
    assert "the reference of output y holds NaN" in verification.problems[0]
    assert verification.accuracy.rel_l2_err is None
    assert not verification.ok and not verification.comparable
    assert verification.verdict == "not comparable"
    assert check(plain).verdict == "right"
    assert check(lambda x: {"y": np.full((4, 10), np.nan)}).verdict == "WRONG"


def test_without_inputs_there_is_only_one_answer_to_give() -> None:
    """Outputs that hardly depend on the inputs are no reason for doubt where there are none."""

    def constant(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": np.full((4, 10), 0.25, "float32")}

    def check_constant(run):  # type: ignore[no-untyped-def]
        return verify(run, [], Reference(run=constant, inputs=[]), [{}, {}], "fp32")

    assert check_constant(constant).verdict == "right"
    assert check_constant(lambda x: {"y": constant(x)["y"] * 1.01}).verdict == "WRONG"


def test_logits_are_compared_through_a_saturated_softmax() -> None:
    """Logits of 40 and more: the probabilities are 1 and 0 whatever happens to the other logits."""

    def logits(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        y = 5 * inputs["x"]
        y[:, 3] = 60
        return {"y": y}

    def truth(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": softmax(logits(inputs)["y"])}

    def buggy(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        y = logits(inputs)["y"]
        y[:, 4:] *= 0.9
        return {"y": softmax(y)}

    assert check(buggy, truth).problems == (NO_SPREAD,), "probabilities alone see nothing, and must say so"
    assert check(truth, truth, logits=logits).ok
    verification = check(buggy, truth, logits=logits)
    assert "the logits of output y are off" in verification.problems[0]
    assert verification.accuracy.rel_l2_err is not None
    assert verification.accuracy.rel_l2_err > 1e-3


def test_underflow_is_not_an_error_but_hides_nothing_else() -> None:
    def logits(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        y = 5 * inputs["x"]
        y[:, 0] = -300  # exp underflows, in float32 and more so in float16
        return {"y": y}

    def truth(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": softmax(logits(inputs)["y"])}

    assert check(truth, truth, logits=logits).ok
    assert check(lambda x: {"y": truth(x)["y"].astype("float16")}, truth, precision="fp16", logits=logits).ok


def test_top1_ties_are_forgiven_and_errors_are_not() -> None:
    def near(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        y = inputs["x"].copy()
        y[:, 0], y[:, 1] = 5.0, 5.0 + 1e-6
        return {"y": y}

    def swapped(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        y = near(inputs)["y"]
        return {"y": y[:, [1, 0, *range(2, 10)]]}

    verification = check(swapped, near, classifier="y")
    assert verification.accuracy.top1_agreement == 0
    assert verification.ok


def test_a_wrong_top1_fails_even_where_all_values_are_near() -> None:
    many = [{"x": np.random.default_rng(seed).normal(size=(4, 1000)).astype("float32")} for seed in range(2)]

    def truth(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        y = inputs["x"].copy()
        y[0, :2] = 6.0, 6.018
        return {"y": y}

    def wrong(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        y = inputs["x"].copy()
        y[0, :2] = 6.0115, 6.0065
        return {"y": y}

    verification = check(wrong, truth, inputs=many, classifier="y")
    assert verification.problems == ("output y puts another class first",)
    assert verification.accuracy.top1_agreement == 0.75


def test_integers_must_be_equal() -> None:
    def truth(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": inputs["x"].argsort(axis=1)}

    def off(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        y = truth(inputs)["y"]
        y[0, 0] += 1
        return {"y": y}

    assert check(truth, truth).ok
    verification = check(off, truth)
    assert verification.problems == ("2.50% of the elements of output y differ",)
    assert verification.accuracy.max_abs_err == 1
    assert check(lambda x: {"y": x["x"] > 0}, lambda x: {"y": x["x"] > 0}).ok


def test_matching_infinities_are_fine() -> None:
    def masked(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": np.where(inputs["x"] > 1, -np.inf, inputs["x"])}

    assert check(masked, masked).ok


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=4, max_size=4),
    truth=st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=4, max_size=4),
    precision=st.sampled_from(["fp32", "fp16", "bf16"]),
)
def test_any_floats_give_a_verdict(values: list[float], truth: list[float], precision: str) -> None:
    """No crash, no warning turned into a verdict, and never `ok` with NaN in the outputs."""
    ours, reference = (np.array([v], "float32") for v in (values, truth))
    specs = [TensorSpec("x", (1,), "float32")]
    with np.errstate(all="ignore"):
        verification = verify(
            lambda x: {"y": ours},
            specs,
            Reference(run=lambda x: {"y": reference}, inputs=specs, classifier="y", logits=lambda x: {"y": reference}),
            [{"x": np.zeros(1, "float32")}],
            precision,
        )
    if np.isnan(ours).any() or np.isnan(reference).any():
        assert not verification.ok
    if verification.ok:
        finite = np.isfinite(reference)
        np.testing.assert_allclose(
            ours[finite], reference[finite], rtol=1, atol=0.5 * np.abs(reference[finite]).max(initial=0)
        )


def test_an_error_as_large_as_what_inputs_change_fails() -> None:
    """Within FP16's tolerance, but no better than an answer that never looks at its inputs."""

    def nearly_constant(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": 1 + 0.005 * inputs["x"]}

    def blind(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": np.ones((4, 10), "float32")}

    assert "near to what inputs change" in check(blind, nearly_constant, precision="fp16").problems[0]
    assert check(nearly_constant, nearly_constant, precision="fp16").ok
