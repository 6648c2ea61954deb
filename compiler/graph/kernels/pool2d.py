"""Maximum and average pooling over windows, channels last."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import te, tirx

from . import KERNEL
from .padding import out_size, pad_spatial
from .widen import widened


def _extra(size: int, kernel: int, stride: int, before: int, after: int, dilation: int, ceil_mode: bool) -> int:
    """Elements to add behind an axis so that the last, partial window of `ceil_mode` is a whole one."""
    if not ceil_mode:
        return 0
    span = (kernel - 1) * dilation + 1
    steps = -(-(size + before + after - span) // stride)
    if steps * stride >= size + before:  # a window that starts in the padding behind is dropped (ONNX, PyTorch)
        steps -= 1
    return max(0, steps * stride + span - (size + before + after))


def pool2d(
    data: te.Tensor,
    kind: str,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> te.Tensor:
    """Pool `data` [n, h, w, c] with windows of `kernel`; `kind` is `max` or `avg`; the result is [n, oh, ow, c].

    It is of `data`'s type; averages are computed in float32 whatever that is.
    """
    n, height, width, channels = (int(d) for d in data.shape)
    kernel_h, kernel_w = (int(k) for k in kernel)
    stride_h, stride_w = (int(s) for s in strides)
    dilation_h, dilation_w = (int(d) for d in dilation)
    top, left, bottom, right = pads
    more_h = _extra(height, kernel_h, stride_h, top, bottom, dilation_h, ceil_mode)
    more_w = _extra(width, kernel_w, stride_w, left, right, dilation_w, ceil_mode)
    oh = out_size(height, kernel_h, stride_h, top, bottom + more_h, dilation_h)
    ow = out_size(width, kernel_w, stride_w, left, right + more_w, dilation_w)
    lowest = float(tirx.min_value(data.dtype).value) if kind == "max" else 0.0
    padded = pad_spatial(data, (top, left, bottom + more_h, right + more_w), lowest)
    if kind == "avg":
        padded = widened(padded, "widen_data")
    rh, rw = te.reduce_axis((0, kernel_h), "rh"), te.reduce_axis((0, kernel_w), "rw")

    def window(b: tirx.PrimExpr, y: tirx.PrimExpr, x: tirx.PrimExpr, c: tirx.PrimExpr) -> tirx.PrimExpr:
        return padded[b, y * stride_h + rh * dilation_h, x * stride_w + rw * dilation_w, c]

    if kind == "max":
        return te.compute(
            (n, oh, ow, channels),
            lambda b, y, x, c: te.max(window(b, y, x, c), axis=[rh, rw]),
            name="max_pool2d",
            attrs={KERNEL: "window"},
        )

    total = te.compute(
        (n, oh, ow, channels),
        lambda b, y, x, c: te.sum(window(b, y, x, c), axis=[rh, rw]),
        name="avg_pool2d_sum",
        attrs={KERNEL: "window"},
    )

    def inside(start: tirx.PrimExpr, kernel_size: int, dilation_size: int, low: int, high: int) -> tirx.PrimExpr:
        """How many of a window's elements lie in [low, high)."""
        count = tirx.const(0, "int32")
        for k in range(kernel_size):
            at = start + k * dilation_size
            count = count + tirx.Cast("int32", tirx.all(at >= low, at < high))
        return count

    if count_include_pad:  # the padding counts, what ceil_mode added behind it does not
        low_h, high_h, low_w, high_w = 0, top + height + bottom, 0, left + width + right
        every_window_whole = more_h == 0 and more_w == 0
    else:
        low_h, high_h, low_w, high_w = top, top + height, left, left + width
        every_window_whole = not (top or left or bottom or right or more_h or more_w)

    def average(b: tirx.PrimExpr, y: tirx.PrimExpr, x: tirx.PrimExpr, c: tirx.PrimExpr) -> tirx.PrimExpr:
        if every_window_whole:
            return total[b, y, x, c] * tirx.const(1.0 / (kernel_h * kernel_w), padded.dtype)
        count = inside(y * stride_h, kernel_h, dilation_h, low_h, high_h) * inside(
            x * stride_w, kernel_w, dilation_w, low_w, high_w
        )
        return total[b, y, x, c] / tirx.Cast(padded.dtype, tirx.max(count, tirx.const(1, "int32")))

    wide = te.compute((n, oh, ow, channels), average, name="avg_pool2d")
    if wide.dtype == data.dtype:
        return wide
    return te.compute(wide.shape, lambda *i: wide[i].astype(data.dtype), name="narrowed")
