"""Operators through the whole front end and TVM, against ONNX Runtime: never wrong numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compiler.errors import EdgetuneError
from tests.frontend.graphs_for_tests import assert_same, graph, loaded, node, values

X4 = [("x", (2, 4, 9, 8))]
X3 = [("x", (2, 3, 5))]
X2 = [("x", (3, 4))]
INTS = helper.make_tensor_value_info("i", TensorProto.INT64, (5,))


def i64(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def one(op, inputs, weights=None, opset=13, extra=(), **attributes):
    """A graph of one operator on the graph inputs `inputs` and then the weights."""
    names = [v.name if isinstance(v, onnx.ValueInfoProto) else v[0] for v in inputs]
    return graph([node(op, [*names, *extra, *(weights or {})], **attributes)], inputs, ["y"], weights, opset=opset)


W = {"w": values(1, 6, 4, 3, 3), "b": values(2, 6)}
TWICE = np.float32([1, 1, 2, 2])
DECONV = {"w": values(1, 4, 3, 3, 3)}
POOL = {"kernel_shape": [3, 3]}
CASES = {
    "conv": one("Conv", X4, W, pads=[1, 1, 1, 1]),
    "conv_stride": one("Conv", X4, W, strides=[2, 2]),
    "conv_asymmetric": one("Conv", X4, W, pads=[0, 1, 2, 0], strides=[2, 1]),
    "conv_dilated": one("Conv", X4, W, dilations=[2, 2], pads=[2, 2, 2, 2]),
    "conv_group": one("Conv", X4, {"w": values(1, 6, 2, 3, 3)}, group=2),
    "conv_depthwise": one("Conv", X4, {"w": values(1, 8, 1, 3, 3), "b": values(2, 8)}, group=4, pads=[1, 1, 1, 1]),
    "conv_same_upper": one("Conv", X4, W, auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv_same_lower": one("Conv", X4, W, auto_pad="SAME_LOWER", strides=[2, 2]),
    "conv_valid": one("Conv", X4, W, auto_pad="VALID"),
    "conv_same_even": one("Conv", X4, {"w": values(1, 6, 4, 2, 4)}, auto_pad="SAME_LOWER"),
    "conv_1d": one("Conv", X3, {"w": values(1, 4, 3, 3), "b": values(2, 4)}, pads=[1, 0]),
    "conv_3d": one("Conv", [("x", (1, 2, 4, 5, 6))], {"w": values(1, 3, 2, 2, 3, 1)}, pads=[1, 0, 0, 0, 1, 0]),
    "conv_transpose": one("ConvTranspose", X4, DECONV, strides=[2, 2], output_padding=[1, 1]),
    "conv_transpose_group": one("ConvTranspose", X4, {"w": values(1, 4, 2, 3, 3)}, group=2, pads=[1, 1, 1, 1]),
    "conv_transpose_shape": one("ConvTranspose", X4, DECONV, strides=[2, 2], output_shape=[19, 17]),
    "conv_transpose_crop": one("ConvTranspose", X4, DECONV, strides=[2, 2], output_shape=[18, 16]),
    "conv_transpose_lower": one("ConvTranspose", X4, DECONV, strides=[2, 2], auto_pad="SAME_LOWER"),
    "conv_transpose_upper": one("ConvTranspose", X4, DECONV, strides=[2, 2], auto_pad="SAME_UPPER"),
    "max_pool": one("MaxPool", X4, strides=[2, 2], pads=[1, 1, 1, 1], **POOL),
    "max_pool_ceil": one("MaxPool", X4, strides=[2, 2], ceil_mode=1, **POOL),
    "max_pool_ceil_pads": one("MaxPool", X4, strides=[2, 3], ceil_mode=1, pads=[0, 0, 1, 1], **POOL),
    "max_pool_dilated": one("MaxPool", X4, dilations=[2, 2], **POOL),
    "max_pool_lower": one("MaxPool", X4, strides=[2, 2], auto_pad="SAME_LOWER", kernel_shape=[2, 2]),
    "max_pool_upper": one("MaxPool", X4, strides=[2, 2], auto_pad="SAME_UPPER", **POOL),
    "max_pool_1d": one("MaxPool", X3, kernel_shape=[2], strides=[2]),
    "average_pool": one("AveragePool", X4, pads=[1, 1, 1, 1], **POOL),
    "average_pool_include": one("AveragePool", X4, pads=[1, 1, 1, 1], strides=[2, 2], count_include_pad=1, **POOL),
    "average_pool_ceil": one("AveragePool", X4, strides=[2, 2], ceil_mode=1, **POOL),
    "average_pool_ceil_pads": one("AveragePool", X4, strides=[2, 2], ceil_mode=1, pads=[1, 1, 1, 1], **POOL),
    "average_pool_ceil_include": one(
        "AveragePool", X4, opset=19, strides=[2, 2], ceil_mode=1, count_include_pad=1, pads=[1, 0, 1, 0], **POOL
    ),
    "average_pool_lower": one("AveragePool", X4, auto_pad="SAME_LOWER", strides=[2, 2], kernel_shape=[2, 2]),
    "average_pool_upper": one("AveragePool", X4, auto_pad="SAME_UPPER", strides=[2, 2], **POOL),
    "average_pool_dilated": one("AveragePool", X4, opset=19, dilations=[2, 2], **POOL),
    "lp_pool": one("LpPool", X4, p=2, **POOL),
    "global_average": one("GlobalAveragePool", X4),
    "global_max": one("GlobalMaxPool", X4),
    "lrn": one("LRN", X4, size=3, alpha=0.5, beta=0.6, bias=1.5),
    "lrn_wide": one("LRN", X4, size=5),
    "gemm": one("Gemm", X2, {"w": values(1, 4, 5), "c": values(2, 5)}),
    "gemm_alpha_beta": one("Gemm", X2, {"w": values(1, 5, 4), "c": values(2, 3, 1)}, transB=1, alpha=0.5, beta=2.0),
    "gemm_trans_a": one("Gemm", X2, {"w": values(1, 3, 5)}, transA=1),
    "gemm_no_beta": one("Gemm", X2, {"w": values(1, 4, 5), "c": values(2, 5)}, beta=0.0, alpha=0.0),
    "gemm_scalar": one("Gemm", X2, {"w": values(1, 4, 5), "c": np.float32(0.5)}),
    "matmul_3d": one("MatMul", X3, {"w": values(1, 2, 5, 4)}),
    "matmul_broadcast": one("MatMul", X3, {"w": values(1, 5, 4)}),
    "matmul_vector": one("MatMul", X3, {"w": values(1, 5)}),
    "concat": graph([node("Concat", ["x", "z", "x"], axis=-2)], [("x", (2, 3, 4)), ("z", (2, 1, 4))], ["y"]),
    "flatten_0": one("Flatten", X4, axis=0),
    "flatten_2": one("Flatten", X4, axis=2),
    "flatten_negative": one("Flatten", X4, axis=-1),
    "reshape_zero": one("Reshape", X4, {"s": i64(0, -1, 8)}),
    "reshape_last": one("Reshape", X4, {"s": i64(-1, 0, 2)}),
    "transpose": one("Transpose", X4, perm=[0, 3, 1, 2]),
    "transpose_default": one("Transpose", X3),
    "softmax": one("Softmax", X3),
    "softmax_axis": one("Softmax", X3, axis=1),
    "softmax_old": one("Softmax", X3, opset=11),
    "softmax_old_0": one("Softmax", X3, opset=11, axis=0),
    "softmax_old_4d": one("Softmax", X4, opset=9, axis=1),
    "log_softmax_old": one("LogSoftmax", X3, opset=11),
    "log_softmax": one("LogSoftmax", X3, axis=1),
    "hardmax_old": one("Hardmax", X3, opset=11),
    "add_broadcast": one("Add", X4, {"w": values(1, 4, 1, 1)}),
    "mul_broadcast": one("Mul", X4, {"w": values(1, 8)}),
    "mul_channel_like_width": one("Mul", [("x", (1, 4, 4, 4))], {"w": values(1, 4)}),
    "sub_div": graph(
        [node("Sub", ["x", "a"], ["t"]), node("Div", ["t", "b"])],
        X2, ["y"], {"a": values(1, 4), "b": values(2, 3, 1)},
    ),
    "sum_1": one("Sum", X2),
    "sum_3": one("Sum", X2, {"a": values(1, 4), "b": values(2, 3, 1)}),
    "max_3": one("Max", X2, {"a": values(1, 4), "b": values(2, 3, 1)}),
    "mean_2": one("Mean", X2, {"a": values(1, 3, 4)}),
    "clip": one("Clip", X2, {"lo": np.float32(-0.5), "hi": np.float32(0.5)}),
    "clip_high_only": one("Clip", X2, {"hi": np.float32(0.5)}, extra=[""]),
    "clip_old": one("Clip", X2, opset=6, min=-0.5, max=0.25),
    "clip_old_half": one("Clip", X2, opset=9, max=0.25),
    "sigmoid": one("Sigmoid", X2),
    "tanh": one("Tanh", X2),
    "leaky_relu": one("LeakyRelu", X2, alpha=0.2),
    "prelu": one("PRelu", X4, {"s": values(1, 4, 1, 1)}),
    "elu": one("Elu", X2, alpha=0.7),
    "selu": one("Selu", X2),
    "celu": one("Celu", X2, alpha=0.7),
    "hard_sigmoid": one("HardSigmoid", X2, alpha=0.3, beta=0.4),
    "hard_swish": one("HardSwish", X2, opset=14),
    "softplus": one("Softplus", X2),
    "erf": one("Erf", X2),
    "gelu": one("Gelu", X2, opset=20),
    "gelu_tanh": one("Gelu", X2, opset=20, approximate="tanh"),
    "mish": one("Mish", X2, opset=18),
    "gather": graph([node("Gather", ["w", "i"])], [INTS], ["y"], {"w": values(1, 7, 3)}),
    "gather_axis": one("Gather", X3, {"i": i64(0, -1, 1)}, axis=2),
    "gather_scalar": one("Gather", X3, {"i": np.array(1, np.int64)}, axis=1),
    "gather_elements": one("GatherElements", X2, {"i": np.array([[0, 1, 2, 1]], np.int64)}),
    "reduce_mean": one("ReduceMean", X4, axes=[2, 3]),
    "reduce_mean_drop": one("ReduceMean", X4, axes=[-1], keepdims=0),
    "reduce_mean_all": one("ReduceMean", X4),
    "reduce_mean_18": one("ReduceMean", X4, {"a": i64(1, 2)}, opset=18),
    "reduce_sum_13": one("ReduceSum", X4, {"a": i64(1)}, keepdims=0),
    "reduce_sum_11": one("ReduceSum", X4, opset=11, axes=[1, 3]),
    "reduce_sum_noop": one("ReduceSum", X4, {"a": np.zeros(0, np.int64)}, noop_with_empty_axes=1),
    "reduce_max": one("ReduceMax", X4, axes=[1]),
    "reduce_l2": one("ReduceL2", X4, axes=[1]),
    "argmax": graph(
        [node("ArgMax", ["x"], axis=1, keepdims=0)], X3, [helper.make_tensor_value_info("y", TensorProto.INT64, None)]
    ),
    "layer_norm": one("LayerNormalization", X3, {"s": values(1, 5), "b": values(2, 5)}, opset=17),
    "layer_norm_axis": one("LayerNormalization", X3, {"s": values(1, 3, 5)}, opset=17, axis=1, epsilon=0.01),
    "layer_norm_mean": graph(
        [node("LayerNormalization", ["x", "s"], ["y", "m"])], X3, ["y", "m"], {"s": values(1, 5)}, opset=17
    ),
    "rms_norm_all": one("RMSNormalization", X2, {"s": values(1, 3, 4)}, opset=23, axis=0),
    "instance_norm": one("InstanceNormalization", X4, {"s": values(1, 4), "b": values(2, 4)}),
    "group_norm": one("GroupNormalization", X4, {"s": values(1, 4), "b": values(2, 4)}, opset=21, num_groups=2),
    "mean_variance": one("MeanVarianceNormalization", X4),
    "slice": one("Slice", X4, {"s": i64(1, 0), "e": i64(100, -1), "a": i64(2, -1), "t": i64(2, 3)}),
    "slice_negative": one("Slice", X3, {"s": i64(-1), "e": i64(-6), "a": i64(2), "t": i64(-2)}),
    "slice_old": one("Slice", X4, opset=9, starts=[1, 2], ends=[2, 9], axes=[0, 2]),
    "slice_default": one("Slice", X3, {"s": i64(0, 1), "e": i64(1, 3)}),
    "split": graph([node("Split", ["x", "s"], ["y", "z"], axis=1)], X4, ["y", "z"], {"s": i64(1, 3)}),
    "split_even": graph([node("Split", ["x"], ["y", "z"], axis=-1)], X4, ["y", "z"]),
    "split_old": graph([node("Split", ["x"], ["y", "z"], axis=1, split=[3, 1])], X4, ["y", "z"], opset=11),
    "split_18": graph([node("Split", ["x"], ["y", "z"], axis=2, num_outputs=2)], X4, ["y", "z"], opset=18),
    "pad": one("Pad", X4, {"p": i64(0, 0, 1, 2, 0, 0, 3, 0), "v": np.float32(1.5)}),
    "pad_conv": graph(
        [node("Pad", ["x", "p", "v"], ["t"]), node("Conv", ["t", "w"])],
        X4, ["y"], {"p": i64(0, 0, 1, 1, 0, 0, 1, 1), "v": np.float32(2), "w": values(1, 6, 4, 3, 3)},
    ),
    "pad_reflect": one("Pad", X4, {"p": i64(0, 0, 1, 2, 0, 0, 3, 0)}, mode="reflect"),
    "pad_edge": one("Pad", X4, {"p": i64(0, 0, 1, 2, 0, 0, 3, 0)}, mode="edge"),
    "pad_negative": one("Pad", X4, {"p": i64(0, 0, -1, 0, 0, 0, 0, -2)}),
    "pad_axes": graph(
        [node("Pad", ["x", "p", "", "a"])], X4, ["y"], {"p": i64(1, 2, 1, 0), "a": i64(2, 3)}, opset=18
    ),
    "pad_old": one("Pad", X4, opset=9, pads=[0, 0, 1, 2, 0, 0, 3, 0], value=0.5),
    "resize_nearest": graph([node("Resize", ["x", "", "s"], mode="nearest")], X4, ["y"], {"s": TWICE}),
    "resize_asymmetric": graph(
        [node("Resize", ["x", "", "s"], coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
        X4, ["y"], {"s": TWICE},
    ),
    "resize_linear": graph([node("Resize", ["x", "", "s"], mode="linear")], X4, ["y"], {"s": TWICE}),
    "resize_align": graph(
        [node("Resize", ["x", "", "", "s"], mode="linear", coordinate_transformation_mode="align_corners")],
        X4, ["y"], {"s": i64(2, 4, 18, 5)},
    ),
    "resize_pytorch": graph(
        [node("Resize", ["x", "", "", "s"], mode="linear", coordinate_transformation_mode="pytorch_half_pixel")],
        X4, ["y"], {"s": i64(2, 4, 13, 4)},
    ),
    "resize_cubic": graph(
        [node("Resize", ["x", "", "", "s"], mode="cubic", cubic_coeff_a=-0.5)], X4, ["y"], {"s": i64(2, 4, 18, 16)}
    ),
    "resize_old": one("Resize", X4, {"s": TWICE}, opset=10, mode="nearest"),
    "resize_old_linear": one("Resize", X4, {"s": TWICE}, opset=10, mode="linear"),
    "upsample_9": one("Upsample", X4, {"s": np.float32([1, 1, 2, 3])}, opset=9, mode="nearest"),
    "upsample_linear": one("Upsample", X4, {"s": TWICE}, opset=9, mode="linear"),
    "batch_norm": one(
        "BatchNormalization", X4, {"s": values(1, 4), "b": values(2, 4), "m": values(3, 4), "v": np.exp(values(4, 4))}
    ),
    "batch_norm_9": one(
        "BatchNormalization", X4, {"s": values(1, 4), "b": values(2, 4), "m": values(3, 4), "v": np.exp(values(4, 4))},
        opset=9, epsilon=0.1,
    ),
    "dropout": graph([node("Dropout", ["x"], ["t"]), node("Relu", ["t"])], X2, ["y"]),
    "dropout_last": graph([node("Relu", ["x"], ["t"]), node("Dropout", ["t"], ["y", "mask"])], X2, ["y"], opset=9),
    "identity": one("Identity", X2),
    "identity_twice": graph([node("Identity", ["x"], ["y"]), node("Identity", ["x"], ["z"])], X2, ["y", "z"]),
    "identity_inner": graph(
        [node("Relu", ["x"], ["t"]), node("Identity", ["t"], ["y"]), node("Identity", ["t"], ["z"])],
        X2, ["y", "z", "t"],
    ),
    "cast_int": graph(
        [node("Cast", ["x"], to=TensorProto.INT32)], X2, [helper.make_tensor_value_info("y", TensorProto.INT32, None)]
    ),
    "cast_same": one("Cast", X2, to=TensorProto.FLOAT),
    "cast_half": graph([node("Cast", ["x"], ["t"], to=TensorProto.FLOAT16), node("Cast", ["t"], to=1)], X2, ["y"]),
    "squeeze_unsqueeze": graph(
        [node("Unsqueeze", ["x", "a"], ["t"]), node("Squeeze", ["t", "b"])], X2, ["y"], {"a": i64(0, 2), "b": i64(0)}
    ),
    "squeeze_old": graph(
        [node("Unsqueeze", ["x"], ["t"], axes=[1, 3]), node("Squeeze", ["t"], axes=[1])], X2, ["y"], opset=11
    ),
    "expand": one("Expand", X2, {"s": i64(2, 1, 4)}),
    "tile": one("Tile", X2, {"r": i64(2, 1)}),
    "where": graph(
        [node("Less", ["x", "z"], ["c"]), node("Where", ["c", "x", "z"])], X2, ["y"], {"z": values(1, 4)}
    ),
    "pow_int": one("Pow", X2, {"p": np.array(2, np.int64)}),
    "pow_float": one("Pow", X2, {"p": np.float32(3)}),
    "shape_arithmetic": graph(
        [
            node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]),
            node("Unsqueeze", ["n", "zeros"], ["n1"]),
            node("Concat", ["n1", "rest"], ["shape"], axis=0), node("Reshape", ["x", "shape"]),
        ],
        X4, ["y"], {"zero": np.array(0, np.int64), "zeros": i64(0), "rest": i64(-1)},
    ),
    "depth_to_space": one("DepthToSpace", X4, blocksize=2, mode="CRD"),
    "space_to_depth": one("SpaceToDepth", [("x", (1, 2, 4, 6))], blocksize=2),
    "cumsum": one("CumSum", X2, {"a": np.array(1, np.int64)}),
    "top_k": graph(
        [node("TopK", ["x", "k"], ["y", "i"])],
        X3, ["y", helper.make_tensor_value_info("i", TensorProto.INT64, None)], {"k": i64(2)},
    ),
    "einsum": one("Einsum", X3, {"w": values(1, 5, 4)}, equation="bij,jk->bik"),
    "trilu": one("Trilu", X3, opset=14, upper=0),
    "batch_norm_conv": graph(
        [node("Conv", ["x", "w", "b"], ["t"], pads=[1, 1, 1, 1]),
         node("BatchNormalization", ["t", "s", "h", "m", "v"])],
        X4, ["y"], {**W, "s": values(3, 6), "h": values(4, 6), "m": values(5, 6), "v": np.exp(values(6, 6))},
    ),
    "attention": graph(
        [node("Attention", ["q", "q", "q"])], [("q", (2, 3, 5, 4))], ["y"], opset=23,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_tvm_agrees_with_onnx_runtime(name: str, tmp_path: Path) -> None:
    try:
        assert_same(loaded(CASES[name], tmp_path))
    except EdgetuneError as error:
        pytest.fail(f"refused: {error}")
