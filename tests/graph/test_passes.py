"""The smaller passes, each on what it looks for and on what only looks like it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper
from tvm import relax

import targets
from compiler.build import compile_model
from compiler.errors import EdgetuneError
from compiler.frontend import Model
from compiler.graph.filling import filling, unfilled
from compiler.graph.passes.batch_norm import batch_norm
from compiler.graph.passes.fold_views import fold_views
from compiler.graph.passes.io_precision import io_precision
from compiler.graph.passes.lrn import ATTRIBUTE, lrn
from compiler.graph.pipeline import Dump, lay_out, lower
from compiler.graph.rewriter import Rewriter
from compiler.graph.variants import expand
from compiler.runtime.threads import ComputeThread
from tests.graph.graphs import (
    assert_like_onnxruntime,
    calls,
    constants,
    conv,
    graph,
    imported,
    kernels,
    loaded,
    module,
    node,
    values,
    weight,
)
from tests.schedules import hardware_for_tests as hw

SHAPE = (2, 8, 7, 6)
W = {"w": weight(1, 8, 8, 3, 3), "v": weight(2, 8, 8, 3, 3)}


def built(compute: object, shape: tuple[int, ...] = (2, 3)) -> tvm.IRModule:
    """`main(x)` that returns `compute(x)`, as Relax."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            out = builder.emit_output(builder.emit(compute(x)))  # type: ignore[operator]
        builder.emit_func_output(out)
    return builder.finalize()


# ---- fold_views

FOLDED = {
    "reshape": (lambda c: relax.op.reshape(c, (3, 2)), lambda a: a.reshape(3, 2)),
    "permute_dims": (lambda c: relax.op.permute_dims(c, [1, 0]), lambda a: a.T),
    "permute_dims without axes": (relax.op.permute_dims, lambda a: a.T),
    "expand_dims": (lambda c: relax.op.expand_dims(c, [0, 3]), lambda a: a[None, :, :, None]),
    "squeeze": (lambda c: relax.op.squeeze(relax.op.reshape(c, (1, 6, 1))), lambda a: a.reshape(6)),
    "flatten": (relax.op.flatten, lambda a: a.reshape(-1)),
    "astype": (lambda c: relax.op.astype(c, "float16"), lambda a: a.astype("float16")),
    "broadcast_to": (lambda c: relax.op.broadcast_to(c, (4, 2, 3)), lambda a: np.broadcast_to(a, (4, 2, 3))),
    "to a number": (lambda c: relax.op.squeeze(relax.op.reshape(c, (1, 1))), lambda a: a.reshape(())),
}


@pytest.mark.parametrize("name", FOLDED)
def test_views_of_constants_are_folded(name: str) -> None:
    view, expected = FOLDED[name]
    array = values(1, *((1, 1) if name == "to a number" else (2, 3)))
    mod = built(lambda x: relax.Tuple([x, view(relax.const(array))]))
    assert calls(mod) != []
    mod = fold_views(mod)
    assert calls(mod) == []
    [found] = constants(mod)
    np.testing.assert_array_equal(found, expected(array))
    assert found.shape == expected(array).shape and found.dtype == expected(array).dtype
    assert mod["main"].ret_ty.fields[1].ndim == found.ndim


def test_views_of_what_is_no_constant_stay() -> None:
    mod = built(lambda x: relax.op.reshape(x, (3, 2)))
    assert calls(fold_views(mod)) == ["reshape"]
    assert calls(fold_views(built(lambda x: relax.op.add(x, relax.const(values(1, 2, 3)))))) == ["add"]


# ---- batch_norm

STATISTICS = {
    "gamma": values(1, 8),
    "beta": values(2, 8),
    "mean": values(3, 8),
    "variance": np.abs(values(4, 8)) + 0.1,
}
NORM = ["gamma", "beta", "mean", "variance"]


def test_batch_normalisation_is_a_scale_and_a_shift(tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [node("BatchNormalization", ["x", *NORM], ["a"], epsilon=0.01), node("Relu", ["a"], ["y"])]
    model = module(tmp_path, nodes, SHAPE, weights=STATISTICS)
    mod = imported(model)
    assert any("batch_norm" in name for name in calls(mod))
    assert calls(batch_norm(fold_views(mod))) == ["multiply", "add", "nn.relu"]
    assert_like_onnxruntime(model, tmp_path, threads)


def test_batch_normalisation_of_a_matrix(tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [node("BatchNormalization", ["x", *NORM], ["y"])]
    assert_like_onnxruntime(module(tmp_path, nodes, (5, 8), weights=STATISTICS), tmp_path, threads)


def test_batch_normalisation_with_computed_statistics(tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [
        node("ReduceMean", ["x"], ["m"], axes=[0, 2, 3], keepdims=0),
        node("BatchNormalization", ["x", "gamma", "beta", "m", "variance"], ["y"]),
    ]
    model = module(tmp_path, nodes, SHAPE, weights={k: v for k, v in STATISTICS.items() if k != "mean"})
    assert "nn.batch_norm" in calls(batch_norm(fold_views(imported(model))))
    assert_like_onnxruntime(model, tmp_path, threads)


# ---- lrn


@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0, 0.6])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_lrn_is_one_kernel(size: int, beta: float, tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [node("LRN", ["x"], ["y"], size=size, alpha=0.2, beta=beta, bias=1.5)]
    model = module(tmp_path, nodes, SHAPE)
    mod = lrn(fold_views(imported(model)))
    assert calls(mod) == ["lrn"]
    assert [float(v) for v in mod["lrn"].attrs[ATTRIBUTE]] == pytest.approx([size, 0.2, beta, 1.5])
    if (size, beta) in ((3, 0.75), (5, 0.6)):
        assert_like_onnxruntime(model, tmp_path, threads)


def spelled(count_include_pad: bool = True, same: bool = True, padding: tuple[int, ...] = (1, 0, 0)) -> tvm.IRModule:
    """What the importer makes of LRN, with something changed."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(SHAPE, "float32"))
    y = relax.Var("y", relax.TensorType(SHAPE, "float32"))
    with builder.function("main", [x, y]):
        square = builder.emit(relax.op.expand_dims(builder.emit(relax.op.multiply(x, x if same else y)), 1))
        pool = builder.emit(
            relax.op.nn.avg_pool3d(square, [3, 1, 1], padding=[*padding, *padding], count_include_pad=count_include_pad)
        )
        mean = builder.emit(relax.op.squeeze(pool, 1))
        scaled = builder.emit(relax.op.add(builder.emit(relax.op.multiply(mean, relax.const(0.1))), relax.const(1.0)))
        out = builder.emit(relax.op.divide(x, builder.emit(relax.op.power(scaled, relax.const(0.75)))))
        builder.emit_func_output(out)
    return builder.finalize()


def test_what_only_looks_like_lrn_stays() -> None:
    assert calls(lrn(spelled())) == ["lrn"]
    assert "lrn" not in calls(lrn(spelled(same=False))), "the squares are not of one tensor"
    assert "lrn" not in calls(lrn(spelled(count_include_pad=False))), "the border is divided by fewer neighbours"


# ---- layout_free


def free(mod: tvm.IRModule) -> dict[str, list[int]]:
    """Function -> positions of the parameters that a schedule may lay out."""
    found = {}
    for name in kernels(mod):
        attrs = mod[name].attrs
        found[name] = [int(i) for i in attrs["layout_free_buffers"]] if "layout_free_buffers" in attrs else []
    return found


def test_weights_of_kernels_may_be_packed_and_nothing_else(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w", "bias"], ["a"], pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"]),
        node("Mul", ["b", "scale"], ["c"]),
        node("GlobalAveragePool", ["c"], ["d"]),
        node("Flatten", ["d"], ["e"]),
        node("Gemm", ["e", "fc", "fcb"], ["y"]),
    ]
    weights = {**W, "bias": values(3, 8), "scale": values(4, 8, 1, 1), "fc": values(5, 8, 10), "fcb": values(6, 10)}
    found = free(lower(lay_out(imported(module(tmp_path, nodes, SHAPE, weights=weights))), "float32").mod)
    assert {name: at for name, at in found.items() if at} == {
        next(n for n in found if n.startswith("fused_conv2d")): [1],
        next(n for n in found if n.startswith("fused_dense")): [1],
    }


def test_a_weight_that_is_computed_is_not_packed(tmp_path: Path) -> None:
    nodes = [
        node("Mul", ["w", "x0"], ["wm"]),
        node("Conv", ["x", "wm"], ["y"], pads=[1, 1, 1, 1]),
        node("Slice", ["x", "zero", "one", "axes"], ["x0"]),
    ]
    ends = {"zero": np.zeros(4, "int64"), "one": np.ones(4, "int64"), "axes": np.arange(4)}
    model = module(tmp_path, [nodes[2], nodes[0], nodes[1]], SHAPE, weights={"w": W["w"], **ends})
    assert not any(free(lower(lay_out(imported(model)), "float32").mod).values())


def test_one_function_called_with_a_constant_and_with_a_value(tmp_path: Path, threads: ComputeThread) -> None:
    """Both convolutions are the same function; packing the weight would be wrong for the second."""
    nodes = [
        conv("w", "x", "a"),
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2, 3]),
        node("Slice", ["a", "from", "to", "axes"], ["k"]),
        node("Reshape", ["k", "shape"], ["wk"]),
        conv("wk", "a", "y"),
    ]
    weights = {
        **W,
        "from": np.array([0, 0]),
        "to": np.array([6, 6]),
        "axes": np.array([2, 3]),
        "shape": np.array([8, 8, 3, 3]),
    }
    assert_like_onnxruntime(module(tmp_path, nodes, SHAPE, weights=weights), tmp_path, threads)


# ---- legalize


def test_fp16_storage_keeps_values_wide(tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [
        node("Conv", ["x", "w", "bias"], ["a"], pads=[1, 1, 1, 1]),
        node("Softmax", ["a"], ["b"], axis=1),
        node("GlobalAveragePool", ["b"], ["d"]),
        node("Flatten", ["d"], ["e"]),
        node("MatMul", ["e", "fc"], ["y"]),
    ]
    model = module(tmp_path, nodes, SHAPE, weights={**W, "bias": values(3, 8), "fc": values(5, 8, 10)})
    lowered = lower(lay_out(imported(model)), "float16")
    stored = {tuple(c.shape): str(c.dtype) for c in constants(lowered.mod)}
    assert stored[3, 3, 8, 8] == stored[8, 10] == "float16"
    assert lowered.kept_wide == []
    for block in lowered.mod["main"].body.blocks:
        for binding in block.bindings:
            assert str(binding.var.ty.dtype) == "float32"
    assert_like_onnxruntime(model, tmp_path, threads, tolerance=2e-3, precision="fp16")


def test_a_weight_that_float16_cannot_hold_stays_wide(tmp_path: Path, threads: ComputeThread) -> None:
    large = W["v"].copy()
    large[0, 0, 0, 0] = 70_000.0
    fc = values(5, 8, 10)
    fc[3, 3] = -1e6
    nodes = [
        conv("w", "x", "a"),
        conv("large", "a", "b"),
        node("GlobalMaxPool", ["b"], ["d"]),
        node("Flatten", ["d"], ["e"]),
        node("MatMul", ["e", "fc"], ["y"]),
    ]
    model = module(tmp_path, nodes, SHAPE, weights={"w": W["w"], "large": large, "fc": fc})
    lowered = lower(lay_out(imported(model)), "float16")
    assert lowered.kept_wide == ["conv2d 1", "dense 8x10"]
    assert sorted(str(c.dtype) for c in constants(lowered.mod)) == ["float16", "float32", "float32"]
    assert_like_onnxruntime(model, tmp_path, threads, tolerance=2e-3, precision="fp16")


def test_channels_are_filled_up_to_whole_vectors(tmp_path: Path) -> None:
    model = module(tmp_path, [conv("w", "x", "y")], SHAPE, weights={"w": weight(1, 18, 8, 3, 3)})
    laid_out = lay_out(imported(model))
    assert constants(lower(laid_out, "float32", fill=filling(hw.AVX2)).mod)[0].shape == (3, 3, 8, 24)
    assert constants(lower(laid_out, "float32", fill=unfilled).mod)[0].shape == (3, 3, 8, 18)
    assert constants(lower(laid_out, "float32", fill=filling(hw.NEON)).mod)[0].shape == (3, 3, 8, 20)


@pytest.mark.parametrize("channels", [18, 33, 100])
@pytest.mark.parametrize("behind", ["nothing", "relu and concat", "residual"])
def test_filled_channels_are_not_seen(channels: int, behind: str, tmp_path: Path, threads: ComputeThread) -> None:
    nodes = [conv("w", "x", "a"), conv("v", "a", "y")]
    if behind == "relu and concat":
        nodes[1:] = [node("Relu", ["a"], ["b"]), node("Concat", ["b", "x"], ["y"], axis=1)]
    if behind == "residual":
        nodes[1:] = [conv("v", "a", "b"), node("Add", ["a", "b"], ["c"]), node("Relu", ["c"], ["y"])]
    weights = {"w": weight(1, channels, 8, 3, 3), "v": weight(2, channels, channels, 3, 3)}
    assert_like_onnxruntime(module(tmp_path, nodes, SHAPE, weights=weights), tmp_path, threads)


# ---- io_precision


def test_inputs_and_outputs_of_half_precision(tmp_path: Path, threads: ComputeThread) -> None:
    count = helper.make_tensor_value_info("n", TensorProto.INT64, [2, 1])
    nodes = [
        conv("w", "x", "a"),
        node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        node("GlobalAveragePool", ["a"], ["p"]),
        node("Flatten", ["p"], ["q"]),
        node("Add", ["q", "f"], ["y"]),
        node("ArgMax", ["q"], ["i"], axis=1),
        node("Add", ["n", "n"], ["m"]),
    ]
    ints = [helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in ("i", "m")]
    model = loaded(graph(nodes, [("x", SHAPE), count], ["y", *ints], {"w": W["w"]}), tmp_path)
    mod = io_precision(imported(model))
    assert [str(p.ty.dtype) for p in mod["main"].params] == ["float16", "int64"]
    assert [str(f.dtype) for f in mod["main"].ret_ty.fields] == ["float16", "int64", "int64"]
    built = assert_like_onnxruntime(model, tmp_path, threads, tolerance=3e-3, io_precision="fp16")
    assert [s.dtype for s in built.inputs] == ["float16", "int64"]
    assert [s.dtype for s in built.outputs] == ["float16", "int64", "int64"]


def branching(folder: Path) -> Model:
    """A convolution, then one of two functions, as the input's mean decides."""

    def branch(name: str, op: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE)
        return helper.make_graph([node(op, ["a"], [name])], name, [], [out])

    choice = node("If", ["positive"], ["y"], then_branch=branch("t", "Relu"), else_branch=branch("e", "Neg"))
    nodes = [
        conv("w", "x", "a"),
        node("ReduceMean", ["x"], ["mean"], axes=[0, 1, 2, 3], keepdims=0),
        node("Greater", ["mean", "zero"], ["positive"]),
        choice,
    ]
    return module(folder, nodes, SHAPE, weights={"w": W["w"], "zero": np.float32(0)})


def test_a_model_that_branches_is_compiled_as_it_is(tmp_path: Path, threads: ComputeThread) -> None:
    assert_like_onnxruntime(branching(tmp_path), tmp_path, threads)


def test_the_inputs_of_a_model_that_branches_stay_wide(tmp_path: Path) -> None:
    with pytest.raises(EdgetuneError, match="If") as error:
        compile_model(branching(tmp_path), targets.get("native"), tmp_path / "x.so", io_precision="fp16")
    assert "\n" not in str(error.value) and not (tmp_path / "x.so").exists()


# ---- the pipeline


def test_each_phase_is_dumped_in_order(tmp_path: Path) -> None:
    model = module(tmp_path, [conv("w", "x", "y")], SHAPE, weights=W)
    dump = Dump(tmp_path / "a" / "b")
    lower(lay_out(imported(model), dump), "float32", dump=dump)
    files = sorted(path.name for path in (tmp_path / "a" / "b").iterdir())
    assert files == ["00-imported.py", "01-layout.py", "02-legalized.py", "03-fused.py"]
    assert all("def main" in path.read_text() for path in (tmp_path / "a" / "b").iterdir())


def test_the_phases_of_each_algorithm_are_dumped_apart(tmp_path: Path) -> None:
    dump = Dump(tmp_path)
    large = module(tmp_path, [conv("w", "x", "y")], (1, 16, 8, 8), weights={"w": weight(1, 16, 16, 3, 3)})
    expand(lay_out(imported(large)), "float16", dump=dump)
    files = sorted(path.name for path in tmp_path.glob("*.py"))
    assert files[:2] == ["00-direct-float16-legalized.py", "01-direct-float16-fused.py"]
    assert files[-1] == "05-winograd-4x4-float16-fused.py"


def test_what_is_no_straight_line_is_copied_as_it_is() -> None:
    builder = relax.BlockBuilder()
    flag = relax.Var("flag", relax.TensorType((), "bool"))
    x = relax.Var("x", relax.TensorType((2,), "float32"))
    with builder.function("main", [flag, x]):
        out = builder.emit(relax.If(flag, relax.op.add(x, x), relax.op.multiply(x, x)))
        builder.emit_func_output(out)
    mod = relax.transform.Normalize()(builder.get())
    rewriter = Rewriter(mod)
    assert not rewriter.applies()
    assert rewriter.run() is mod


# ---- models in float16


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_model_of_halves_sums_in_float32(precision: str, tmp_path: Path, threads: ComputeThread) -> None:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT16, s) for n, s in (("x", SHAPE), ("y", (2, 5))))
    nodes = [
        conv("w", "x", "a"),
        node("Relu", ["a"], ["r"]),
        node("ReduceMean", ["r"], ["m"], axes=[2, 3], keepdims=0),
        node("MatMul", ["m", "fc"], ["y"]),
    ]
    halves = {"w": W["w"].astype("float16"), "fc": weight(3, 8, 5).astype("float16")}
    model = loaded(graph(nodes, [x], [y], halves), tmp_path)
    mod = lower(lay_out(imported(model)), "float32").mod
    sums = [f.script() for f in mod.functions.values() if isinstance(f, tvm.tirx.PrimFunc) and "T.init" in f.script()]
    assert len(sums) >= 3
    for script in sums:  # what is float16 is an argument or a result, never a buffer that is added to
        assert not any("float16" in line and " = " in line and " + " in line for line in script.splitlines())
        assert 'dtype="float16"' not in script
    # float16 results of the same float32 sums: a unit in the last place
    assert_like_onnxruntime(model, tmp_path, threads, tolerance=1e-3, precision=precision)
