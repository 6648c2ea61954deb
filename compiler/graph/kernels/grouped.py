"""Two-dimensional convolution in groups, channels last, its channels as two axes: [group, channel of the group].

With the groups on an axis of their own, each can be given a few channels more than it has, so that they fill whole
vectors: 34 channels a group are computed as 40 and written as 34.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import te, tirx

from . import KERNEL, rounding
from .padding import out_size, pad_spatial
from .widen import widened


def conv2d_grouped(
    data: te.Tensor,
    weight: te.Tensor,
    strides: Sequence[int],
    pads: Sequence[int],
    dilation: Sequence[int],
    channels: int,
    shuffled: int = 1,
    factors: str | None = None,
) -> te.Tensor:
    """Convolve `data` [n, h, w, groups * ci] with `weight` [kh, kw, ci, groups, filled]; the result is
    [n, oh, ow, groups, channels] in float32.

    With `shuffled` the convolution is that of `data` after a channel shuffle: its channels seen as so many groups, and
    those of all groups taken in turns. A channel is read by itself, so that it costs nothing to read another.

    Either may be stored in a narrower type: it is widened, and sums are kept in float32. Of the
    `filled` channels a group, `channels` are kept. `factors`: what a schedule may round both to (`FACTORS`).
    """
    n, height, width, every = (int(d) for d in data.shape)
    kernel_h, kernel_w, ci, groups, filled = (int(d) for d in weight.shape)
    stride_h, stride_w = (int(s) for s in strides)
    dilation_h, dilation_w = (int(d) for d in dilation)
    top, left, bottom, right = pads
    oh = out_size(height, kernel_h, stride_h, top, bottom, dilation_h)
    ow = out_size(width, kernel_w, stride_w, left, right, dilation_w)
    padded = widened(pad_spatial(data, pads), "widen_data")
    rh, rw, rc = (te.reduce_axis((0, k), name) for k, name in ((kernel_h, "rh"), (kernel_w, "rw"), (ci, "rc")))

    def source(channel: tirx.PrimExpr) -> tirx.PrimExpr:
        return channel if shuffled == 1 else (channel % shuffled) * (every // shuffled) + channel // shuffled

    wide = widened(weight)
    result = te.compute(
        (n, oh, ow, groups, filled),
        lambda b, y, x, g, c: te.sum(
            padded[b, y * stride_h + rh * dilation_h, x * stride_w + rw * dilation_w, source(g * ci + rc)]
            * wide[rh, rw, rc, g, c],
            axis=[rh, rw, rc],
        ),
        name="conv2d_grouped",
        attrs={KERNEL: "grouped", **rounding(factors)},
    )
    if channels == filled:
        return result
    return te.compute((n, oh, ow, groups, channels), lambda *i: result[i], name="kept_channels")
