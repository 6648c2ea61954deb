"""The built-in models: repeatable, with outputs that spread."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.frontend import (
    builtin_names,
    import_model,
    is_classifier,
    load,
    pre_softmax_reference,
    random_inputs,
    run_reference,
)
from compiler.frontend.agree import difference

LARGE = ("vgg19", "alexnet", "zfnet512")  # hundreds of megabytes of fully connected layers


@pytest.mark.parametrize("name", builtin_names())
def test_logits_spread_and_weights_are_sane(name: str) -> None:
    model = load(name)
    assert model.batch == 1 and model.seed == 0 and is_classifier(model)
    assert [spec.shape for spec in model.inputs] == [(1, 3, 224, 224)]
    for tensor in model.reference.graph.initializer:
        if tensor.data_type == 1:
            values = np.frombuffer(tensor.raw_data, np.float32)[: 1 << 20]
            tiny = np.abs(values) < np.finfo(np.float32).tiny
            assert np.isfinite(values).all() and tiny.mean() < 1e-4, tensor.name
            assert values.size == 1 or values.std() > 1e-4, tensor.name
    logits = pre_softmax_reference(model) or model
    images = random_inputs(model.inputs, seed=1)
    scores = next(iter(run_reference(logits, images).values())).ravel()
    assert 1 <= scores.std() <= 3
    chances = np.exp(scores - scores.max())
    assert chances.max() / chances.sum() < 0.5


def test_seeds_and_hashes() -> None:
    one, same, other = load("squeezenet"), load("squeezenet", batch=4), load("squeezenet", seed=1)
    assert one.sha256 == same.sha256 != other.sha256 and len(one.sha256) == 64
    first, second = (next(iter(run_reference(m, random_inputs(m.inputs, 0)).values())) for m in (one, other))
    assert not np.allclose(first, second)


def test_the_bytes_are_the_same_everywhere() -> None:
    assert load("squeezenet").sha256 == "ee8780f41b0e68eafa4d6d501c0bc551b560216922b034096a7671b8b90b7117"


@pytest.mark.parametrize("name", [name for name in builtin_names() if name not in LARGE])
def test_cleaned_graphs(name: str) -> None:
    model = load(name)
    operators = [node.op_type for node in model.cleaned.graph.node]
    assert not {"Dropout", "Identity", "Sum", "Constant", "ConstantOfShape", "Unsqueeze"} & set(operators)
    # DenseNet normalises before it convolves; everywhere else BatchNorm and its scales are in the convolutions.
    assert operators.count("BatchNormalization") == (62 if name == "densenet121" else 0)
    assert "Mul" not in operators
    assert difference(model.reference, model.cleaned) is None
    module = import_model(model)
    assert len(module["main"].params) == 1 and module["main"].params[0].name == model.inputs[0].name
