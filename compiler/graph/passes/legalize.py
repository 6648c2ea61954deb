"""Lower operators to kernels: convolutions, pools, dense layers and concatenations to our own, the rest to TVM's.

Requires: NHWC convolutions and pools with static shapes (`channels_last`).
Ensures: no operator remains, only calls of functions; weights are stored in `storage` type, all arithmetic is float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import tvm
from tvm import relax, te, tirx

from ..algorithms import Algorithm, Convolution, choose
from ..filling import Fill, unfilled
from ..half_arithmetic import run_of
from ..kernels import FUSES_ELEMENTWISE, bounds
from ..kernels.concat import concat
from ..kernels.conv2d import conv2d
from ..kernels.conv2d_half import conv2d_half
from ..kernels.dense import dense
from ..kernels.padding import four
from ..kernels.pool2d import pool2d
from ..kernels.sums import LONG, length_of, long_sum
from ..kernels.winograd import conv2d_winograd, transform_weight
from ..rewriter import Constant, array_of, constant, dtype_of, op_name, shape_of
from ..tf32 import to_tf32
from .grouped_conv import FLOATS

PATTERN = {"op_pattern": FUSES_ELEMENTWISE}
REDUCES = {"op_pattern": 3}  # relax::OpPatternKind::kCommReduce: elementwise operators before it are fused into it
HALF_MAX = float(np.finfo("float16").max)

Choose = Callable[[int, Convolution], Algorithm]


class Legalizer:
    """Counts convolutions as it lowers them and keeps what was chosen for each.

    `storage` is the type that weights are kept in (`float32` or `float16`); one that float16 cannot hold stays wide.
    `fill` says how many channels a convolution computes so that they fill vectors. With `only_marked`, weights are
    narrow only where the operator says that its factors may be, by an `out_dtype` (`half_activations`). Without
    `sums_in_parts`, sums are as the target's schedules expect them. With `tf32` weights of products of matrices are
    rounded to TF32, and their kernels say that data may be.
    """

    def __init__(
        self,
        storage: str = "float32",
        chooser: Choose | None = None,
        fill: Fill = unfilled,
        only_marked: bool = False,
        sums_in_parts: bool = True,
        tf32: bool = False,
    ) -> None:
        self.storage = storage
        self.only_marked = only_marked
        self.sums_in_parts = sums_in_parts
        self.tf32 = tf32
        self.fill = fill
        self.chooser = chooser or (lambda _, conv: choose(conv))
        self.convolutions: list[Convolution] = []
        self.algorithms: list[Algorithm] = []
        self.weights: list[relax.Expr | None] = []  # of each convolution, as it stands in the lowered module
        self.kept_wide: list[str] = []

    def run(self, mod: tvm.IRModule) -> tvm.IRModule:
        """Apply the pass."""
        table = {
            "relax.nn.conv2d": self.conv2d,
            "relax.nn.max_pool2d": lambda bb, call: self.pool2d(bb, call, "max"),
            "relax.nn.avg_pool2d": lambda bb, call: self.pool2d(bb, call, "avg"),
            "relax.matmul": self.matmul,
            "relax.concat": self.concat,
            "relax.nn.relu": lambda bb, call: bb.call_te(bounds.relu, call.args[0], primfunc_name_hint="relu"),
            "relax.clip": self.clip,
            "relax.maximum": lambda bb, call: self.bound(bb, call, bounds.maximum, bounds.at_least),
            "relax.minimum": lambda bb, call: self.bound(bb, call, bounds.minimum, bounds.at_most),
            "relax.sum": lambda bb, call: self.sum(bb, call, mean=False),
            "relax.mean": lambda bb, call: self.sum(bb, call, mean=True),
            "relax.cosh": lambda bb, call: _hyperbolic(bb, call, 1.0),
            "relax.sinh": lambda bb, call: _hyperbolic(bb, call, -1.0),
        }
        return relax.transform.LegalizeOps(table)(mod)

    def _default(self, bb: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        return call.op.get_attr("FLegalize")(bb, call)

    def weight(self, array: np.ndarray, name: str, call: relax.Call) -> Constant:
        """`array`, a weight of `call`, as it is stored."""
        narrow = self.storage == "float16" and (not self.only_marked or str(call.attrs.out_dtype) == "float32")
        if narrow and array.dtype == np.float32:
            if np.abs(array).max(initial=0.0) <= HALF_MAX:
                return constant(array.astype("float16"))
            self.kept_wide.append(name)
        return constant(array if self.factors(call) is None else to_tf32(array))

    def factors(self, call: relax.Call) -> str | None:
        """What a schedule may round the factors of a convolution or matrix product to: TF32 where it is asked for, the
        weight is known, and there are rows and columns enough to make tiles of."""
        weight, out = call.args[1], shape_of(call)
        if not self.tf32 or not isinstance(weight, Constant) or not out or dtype_of(weight) != "float32":
            return None
        columns = out[-1]
        if op_name(call) == "relax.nn.conv2d":
            columns //= int(call.attrs.groups)
        return "tf32" if math.prod(out[:-1]) > 1 and columns > 1 else None

    def conv2d(self, bb: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        attrs = call.attrs
        data, weight = call.args
        shape, kernel, out = shape_of(data), shape_of(weight), shape_of(call)
        if str(attrs.data_layout) != "NHWC" or not shape or not kernel or not out or dtype_of(data) not in FLOATS:
            return self._default(bb, call)
        strides, dilation = _two(attrs.strides), _two(attrs.dilation)
        pads, groups = four(attrs.padding), int(attrs.groups)
        half = self._computes_half(data, weight, call)
        sizes = (out[0], out[1], out[2], shape[3], out[3])
        conv = Convolution(*sizes, (kernel[0], kernel[1]), strides, dilation, groups, half)
        index = len(self.convolutions)
        known = isinstance(weight, Constant)
        algorithm = self.chooser(index, conv) if known else Algorithm.DIRECT
        self.convolutions.append(conv)
        self.algorithms.append(algorithm)
        name = f"conv2d {index}"
        if algorithm.tile:
            transformed = self.weight(transform_weight(array_of(weight), algorithm.tile), name, call)
            self.weights.append(transformed)
            return bb.call_te(
                conv2d_winograd,
                data,
                transformed,
                pads,
                groups,
                algorithm.tile,
                # By its tile, which tells two kernels of a layer apart; TVM puts digits behind a name that it has.
                primfunc_name_hint=f"conv2d_winograd_{algorithm.tile}x{algorithm.tile}_tile",
                primfunc_attrs=PATTERN,
            )
        channels = None
        if known:
            array = array_of(weight)
            filled = self.fill(out[3], out[2]) if groups == 1 else out[3]
            if filled > out[3]:
                channels = out[3]
                array = np.pad(array, [(0, 0)] * 3 + [(0, filled - channels)])
            weight = self.weight(array, name, call)
        self.weights.append(weight if known else None)
        if algorithm is Algorithm.DIRECT_HALF:
            return bb.call_te(
                conv2d_half,
                data,
                weight,
                strides,
                pads,
                dilation,
                run_of(shape[3]),
                channels,
                primfunc_name_hint="conv2d_half",
                primfunc_attrs=PATTERN,
            )
        return bb.call_te(
            conv2d,
            data,
            weight,
            strides,
            pads,
            dilation,
            groups,
            channels,
            self.factors(call),
            primfunc_name_hint="conv2d",
            primfunc_attrs=PATTERN,
        )

    def _computes_half(self, data: relax.Expr, weight: relax.Expr, call: relax.Call) -> bool:
        """Whether both factors of a convolution are FP16 on a CPU that calculates in it: `half_activations`, which such
        CPUs alone have applied, marks the products whose factors may be narrow. GPUs mark them as well, and have
        schedules of their own."""
        if self.only_marked or self.storage != "float16" or not isinstance(weight, Constant):
            return False
        marked = dtype_of(data) == "float16" and str(call.attrs.out_dtype) == "float32"
        return marked and bool(np.abs(array_of(weight)).max(initial=0.0) <= HALF_MAX)

    def pool2d(self, bb: relax.BlockBuilder, call: relax.Call, kind: str) -> relax.Expr:
        attrs = call.attrs
        shape = shape_of(call.args[0])
        if str(attrs.layout) != "NHWC" or not shape or dtype_of(call.args[0]) not in FLOATS:
            return self._default(bb, call)
        return bb.call_te(
            pool2d,
            call.args[0],
            kind,
            _two(attrs.pool_size),
            _two(attrs.strides),
            four(attrs.padding),
            _two(attrs.dilation),
            bool(attrs.ceil_mode),
            bool(attrs.count_include_pad),
            primfunc_name_hint=f"{kind}_pool2d",
            primfunc_attrs=PATTERN,
        )

    def matmul(self, bb: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        data, weight = call.args
        left, right = shape_of(data), shape_of(weight)
        if left is None or right is None or len(left) != 2 or len(right) != 2:
            return self._default(bb, call)
        if dtype_of(data) not in FLOATS or not isinstance(weight, Constant):
            return self._default(bb, call)
        stored = self.weight(array_of(weight), f"dense {right[0]}x{right[1]}", call)
        factors = self.factors(call)
        return bb.call_te(dense, data, stored, factors, primfunc_name_hint="dense", primfunc_attrs=PATTERN)

    def concat(self, bb: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        fields = list(call.args[0].fields) if isinstance(call.args[0], relax.Tuple) else []
        shapes = [shape_of(f) for f in fields]
        known = [s for s in shapes if s is not None]
        if not fields or call.attrs.axis is None or len(known) < len(shapes):
            return self._default(bb, call)
        dtype = str(fields[0].ty.dtype)
        func = concat(known, dtype, int(call.attrs.axis) % len(known[0]))
        gvar = bb.add_func(func, "concat")
        return relax.call_tir(gvar, relax.Tuple(fields), relax.TensorType(shape_of(call), dtype))

    def sum(self, bb: relax.BlockBuilder, call: relax.Call, mean: bool) -> relax.Expr:
        """A sum or a mean: of many numbers, in parts."""
        shape = shape_of(call.args[0])
        if not self.sums_in_parts or not shape or dtype_of(call) != "float32":
            return self._default(bb, call)
        named = call.attrs.axis
        axes = sorted(int(axis) % len(shape) for axis in (range(len(shape)) if named is None else named))
        length = length_of(shape, axes)
        if length < LONG:
            return self._default(bb, call)
        return bb.call_te(
            long_sum,
            call.args[0],
            axes,
            bool(call.attrs.keepdims),
            float(length) if mean else 1.0,
            primfunc_name_hint="mean" if mean else "sum",
            primfunc_attrs=REDUCES,
        )

    def clip(self, bb: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        data, *numbers = call.args
        if not _is_float(data):
            return self._default(bb, call)
        low, high = (float(number.value) for number in numbers)
        return bb.call_te(bounds.clip, data, low, high, primfunc_name_hint="clip")

    def bound(
        self, bb: relax.BlockBuilder, call: relax.Call, of_two: Callable[..., te.Tensor], by: Callable[..., te.Tensor]
    ) -> relax.Expr:
        """maximum or minimum: `by` a number where one of the operands is one, else `of_two` tensors."""
        if not _is_float(call) or any(shape_of(a) is None for a in call.args):
            return self._default(bb, call)
        for data, number in (call.args, reversed(call.args)):
            if isinstance(number, Constant) and array_of(number).size == 1 and shape_of(data) == shape_of(call):
                limit = float(array_of(number).reshape(()))
                if limit == limit:  # a NaN is no bound: all becomes NaN
                    return bb.call_te(by, data, limit, primfunc_name_hint=by.__name__)
        return bb.call_te(of_two, *call.args, primfunc_name_hint=of_two.__name__)


def _is_float(expr: relax.Expr) -> bool:
    return dtype_of(expr).startswith("float")


def _hyperbolic(bb: relax.BlockBuilder, call: relax.Call, sign: float) -> relax.Expr:
    """cosh or sinh as (e^x + `sign` e^-x) / 2: TVM has no vectors of the functions themselves."""

    def compute(data: te.Tensor) -> te.Tensor:
        half, other = (tirx.const(number, data.dtype) for number in (0.5, 0.5 * sign))
        return te.compute(data.shape, lambda *i: half * te.exp(data[i]) + other * te.exp(-data[i]), name="hyperbolic")

    return bb.call_te(compute, call.args[0], primfunc_name_hint="hyperbolic")


def _two(values: Sequence[int]) -> tuple[int, int]:
    sizes = [int(v) for v in values]
    return (sizes[0], sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])
