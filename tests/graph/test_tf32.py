"""TF32: how weights are rounded, which kernels say that their factors may be, and who refuses the precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import targets
from compiler.bench.gpu_peak import kernel_of
from compiler.build import compile_model
from compiler.cuda.front import expand_for_gpus, lower_for_gpus
from compiler.errors import UsageError
from compiler.frontend import Model
from compiler.graph.tf32 import to_tf32
from compiler.plain_module import plain_module
from compiler.precision import must_have
from compiler.records.store import Store
from compiler.tuning.tune import list_tasks
from tests.graph.graphs import constants, kernels, module, node, weight

NONE = "has no TF32, which NVIDIA's GPUs have from sm_80 on"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A convolution, a depthwise one, one in groups whose channels are shuffled, and a fully connected layer."""
    nodes = [
        node("Conv", ["x", "a"], ["t1"], pads=[1] * 4),
        node("Relu", ["t1"], ["t2"]),
        node("Conv", ["t2", "b"], ["t3"], pads=[1] * 4, group=16),
        node("Reshape", ["t3", "five"], ["t4"]),
        node("Transpose", ["t4"], ["t5"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["t5", "four"], ["t6"]),
        node("Conv", ["t6", "c"], ["t7"], group=4),
        node("GlobalAveragePool", ["t7"], ["t8"]),
        node("Flatten", ["t8"], ["t9"]),
        node("MatMul", ["t9", "d"], ["y"]),
    ]
    weights = {"a": weight(1, 16, 3, 3, 3), "b": weight(2, 16, 1, 3, 3), "c": weight(3, 24, 4, 1, 1)}
    weights |= {"d": weight(4, 24, 10), "five": np.array([1, 4, 4, 6, 6]), "four": np.array([1, 16, 6, 6])}
    return module(tmp_path_factory.mktemp("model"), nodes, (1, 3, 6, 6), weights=weights, opset=13)


def test_halves_are_rounded_away_from_zero() -> None:
    unit = np.float32(2.0**-10)
    given = np.float32([1, 1 + unit / 2, 1 + unit / 4, -1 - unit / 2, 1 + unit * 1.5, 0, -0.0, 1e-40])
    wanted = np.float32([1, 1 + unit, 1, -1 - unit, 1 + 2 * unit, 0, -0.0, to_tf32(np.float32([1e-40]))[0]])
    np.testing.assert_array_equal(to_tf32(given), wanted)
    assert not (to_tf32(weight(1, 3, 5, 7)).view(np.uint32) & 0x1FFF).any()
    np.testing.assert_array_equal(np.signbit(to_tf32(np.float32([-0.0]))), [True])
    largest = np.float32([np.finfo("float32").max, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(to_tf32(largest), largest)


def test_what_tensor_cores_can_multiply_is_marked_and_its_weights_are_rounded(model: Model) -> None:
    mod = lower_for_gpus(model, "tf32").lowered.mod
    marked = [name for name in kernels(mod) if "edgetune.factors" in str(mod[name].script())]
    # Not the depthwise one, nor the fully connected layer of one row: there is nothing to make tiles of.
    assert len(marked) == 2 and all("conv2d" in name for name in marked)
    exact = {array.shape: bool((array.view(np.uint32) & 0x1FFF).any()) for array in constants(mod) if array.ndim > 1}
    assert not exact[3, 3, 3, 16] and not exact[1, 1, 4, 4, 6]
    assert exact[3, 3, 1, 16] and exact[24, 10]


def test_tasks_of_both_precisions_differ_only_where_factors_are_rounded(model: Model) -> None:
    wide, narrow = (set(expand_for_gpus(model, precision).tasks) for precision in ("fp32", "tf32"))
    assert len(narrow - wide) == 2 and len(narrow & wide) == len(narrow) - 2


def test_targets_without_it_refuse_it_in_one_line(model: Model, tmp_path: Path) -> None:
    for name in ("native", "arm-generic", "jetson-tx1", "jetson-xavier", "cuda-sm75"):
        target = targets.get(name)
        with pytest.raises(UsageError, match=NONE):
            must_have(target, "tf32")
        for precision in ("fp32", "fp16"):
            must_have(target, precision)
    for name in ("cuda-sm80", "jetson-orin", "cuda-sm90", "jetson-thor", "cuda-sm120"):
        must_have(targets.get(name), "tf32")
    native = targets.get("native")
    with pytest.raises(UsageError, match=NONE):
        compile_model(model, native, tmp_path / "library.so", precision="tf32")
    with pytest.raises(UsageError, match=NONE):
        list_tasks(model, native, "tf32")
    with Store(tmp_path / "store.db") as store, pytest.raises(UsageError, match=NONE):
        plain_module(model, native, store, "x", "tf32")


def test_its_peak_is_that_of_tensor_cores() -> None:
    assert kernel_of("sm_87", "tf32").name == "tensor_tf32"
    assert kernel_of("sm_87", "fp32").name == "single"
