"""What a model's own arithmetic is uncertain by, and that no more is let pass than that."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from compiler.bench.tolerance import TOLERANCES
from compiler.bench.uncertainty import MARGIN, widened
from compiler.bench.verify import Verification, onnx_reference, verify
from compiler.frontend import Model, run_reference
from compiler.frontend.reference import ort_session
from compiler.frontend.shaken import shaken
from tests.frontend.graphs_for_tests import graph, loaded, node

Arrays = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Normalised by the mean of squares less the square of the mean, as a network in the package magika does it."""
    nodes = [
        node("ReduceMean", ["x"], ["mean"], axes=[1]),
        node("Mul", ["x", "x"], ["squares"]),
        node("ReduceMean", ["squares"], ["square_mean"], axes=[1]),
        node("Mul", ["mean", "mean"], ["mean_square"]),
        node("Sub", ["square_mean", "mean_square"], ["variance"]),
        node("Sqrt", ["variance"], ["deviation"]),
        node("Sub", ["x", "mean"], ["centred"]),
        node("Div", ["centred", "deviation"], ["y"]),
    ]
    return loaded(graph(nodes, [("x", [4, 512])], ["y"], {}, opset=11), tmp_path_factory.mktemp("model"))


def inputs(spread: float) -> list[Arrays]:
    random = np.random.default_rng(0)
    return [{"x": (0.7 + spread * random.normal(size=(4, 512))).astype("float32")} for _ in range(2)]


def rounding_otherwise(model: Model, scale: float = 1.0) -> object:
    session = ort_session(shaken(model, 77), optimise=False)
    return lambda arrays: {"y": session.run(["y"], dict(arrays))[0] * np.float32(scale)}


def found(model: Model, spread: float, scale: float = 1.0) -> Verification:
    run = rounding_otherwise(model, scale)
    return verify(run, model.inputs, onnx_reference(model, 1), inputs(spread), "fp32")  # type: ignore[arg-type]


def test_where_the_reference_is_sure_nothing_is_asked(model: Model) -> None:
    sure = found(model, 0.5)
    assert sure.ok and sure.accuracy.uncertainty is None
    assert sure.accuracy.rel_l2_err is not None and sure.accuracy.rel_l2_err < 1e-5


def test_what_no_arithmetic_decides_is_not_held_against_a_package(model: Model) -> None:
    unsure = found(model, 0.003)
    assert unsure.accuracy.rel_l2_err is not None and unsure.accuracy.rel_l2_err > TOLERANCES["fp32"].rel_l2
    assert unsure.accuracy.uncertainty is not None and unsure.accuracy.uncertainty > 1e-4
    assert unsure.ok and unsure.problems == ()
    # and indeed: both are about as far from the truth in float64 as from each other
    x = inputs(0.003)[0]["x"].astype("float64")
    truth = (x - x.mean(1, keepdims=True)) / np.sqrt((x**2).mean(1, keepdims=True) - x.mean(1, keepdims=True) ** 2)
    reference = run_reference(model, inputs(0.003)[0])["y"]
    error = np.linalg.norm(reference - truth) / np.linalg.norm(truth)
    assert error < MARGIN * unsure.accuracy.uncertainty


def test_what_is_wrong_stays_wrong(model: Model) -> None:
    for spread, scale in ((0.5, 1.001), (0.003, 1.05)):
        wrong = found(model, spread, scale)
        assert not wrong.ok and wrong.accuracy.uncertainty is not None
        assert "relative L2" in wrong.problems[0]


def test_the_tolerance_is_never_narrower_and_never_wider_than_that_of_fp16() -> None:
    law = TOLERANCES["fp32"]
    assert widened(law, 1e-6) is law
    assert widened(law, 1e-3).rel_l2 == pytest.approx(MARGIN * 1e-3)
    assert widened(law, 1e-3).peak == pytest.approx(law.peak * MARGIN * 1e-3 / law.rel_l2)
    assert widened(law, 1.0).rel_l2 == pytest.approx(TOLERANCES["fp16"].rel_l2)


def test_every_result_is_shaken_and_the_outputs_keep_their_names(model: Model) -> None:
    made = shaken(model, 0)
    assert [output.name for output in made.reference.graph.output] == ["y"]
    assert sum(n.op_type == "Mul" for n in made.reference.graph.node) == 2 + 8
    assert len(model.reference.graph.node) == 8, "the model itself is as it was"
    one, other = (ort_session(shaken(model, seed)).run(["y"], dict(inputs(0.5)[0]))[0] for seed in (0, 1))
    assert not np.array_equal(one, other)
