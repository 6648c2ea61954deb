"""Two-dimensional convolution, channels last: dense, grouped and depthwise."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import te, tirx

from . import GROUPS, KERNEL, rounding
from .padding import out_size, pad_spatial
from .widen import widened


def conv2d(
    data: te.Tensor,
    weight: te.Tensor,
    strides: Sequence[int],
    pads: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    channels: int | None = None,
    factors: str | None = None,
) -> te.Tensor:
    """Convolve `data` [n, h, w, ci] with `weight` [kh, kw, ci/groups, co]; the result is [n, oh, ow, co] in float32.

    With `channels` only so many of the co channels are kept: `weight` may hold more so that they fill whole vectors.

    Either may be stored in a narrower type than float32: it is widened, and sums are kept in float32. `factors`: what a
    schedule may round them to (`FACTORS`).
    """
    n, height, width, _ = (int(d) for d in data.shape)
    kernel_h, kernel_w, ci_group, co = (int(d) for d in weight.shape)
    stride_h, stride_w = (int(s) for s in strides)
    dilation_h, dilation_w = (int(d) for d in dilation)
    top, left, bottom, right = pads
    oh = out_size(height, kernel_h, stride_h, top, bottom, dilation_h)
    ow = out_size(width, kernel_w, stride_w, left, right, dilation_w)
    padded = widened(pad_spatial(data, pads), "widen_data")
    rh, rw = te.reduce_axis((0, kernel_h), "rh"), te.reduce_axis((0, kernel_w), "rw")

    wide = widened(weight)
    if ci_group == 1 and groups == co == int(data.shape[3]):
        return te.compute(
            (n, oh, ow, co),
            lambda b, y, x, c: te.sum(
                padded[b, y * stride_h + rh * dilation_h, x * stride_w + rw * dilation_w, c] * wide[rh, rw, 0, c],
                axis=[rh, rw],
            ),
            name="conv2d_depthwise",
            attrs={KERNEL: "window"},
        )

    rc = te.reduce_axis((0, ci_group), "rc")
    co_group = co // groups

    def channel(c: tirx.PrimExpr) -> tirx.PrimExpr:
        return rc if groups == 1 else (c // co_group) * ci_group + rc

    result = te.compute(
        (n, oh, ow, co),
        lambda b, y, x, c: te.sum(
            padded[b, y * stride_h + rh * dilation_h, x * stride_w + rw * dilation_w, channel(c)] * wide[rh, rw, rc, c],
            axis=[rh, rw, rc],
        ),
        name="conv2d",
        attrs={KERNEL: "conv2d", GROUPS: groups, **rounding(factors)},
    )
    if channels is None or channels == co:
        return result
    return te.compute((n, oh, ow, channels), lambda b, y, x, c: result[b, y, x, c], name="kept_channels")
