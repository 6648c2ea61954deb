"""Two-dimensional convolution, channels last, in FP16 arithmetic: short runs of products are summed up in FP16, and
their sums in FP32 (`compiler.graph.half_arithmetic`)."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import te

from . import KERNEL
from .padding import out_size, pad_spatial


def conv2d_half(
    data: te.Tensor,
    weight: te.Tensor,
    strides: Sequence[int],
    pads: Sequence[int],
    dilation: Sequence[int],
    run: int,
    channels: int | None = None,
) -> te.Tensor:
    """Convolve `data` [n, h, w, ci] with `weight` [kh, kw, ci, co], both float16; the result is [n, oh, ow, co] in
    float32.

    `run` divides ci: products of so many neighbouring channels are summed up in float16. With `channels` only so many
    of the co channels are kept, as in `conv2d`.
    """
    n, height, width, ci = (int(d) for d in data.shape)
    kernel_h, kernel_w, _, co = (int(d) for d in weight.shape)
    stride_h, stride_w = (int(s) for s in strides)
    dilation_h, dilation_w = (int(d) for d in dilation)
    top, left, bottom, right = pads
    oh = out_size(height, kernel_h, stride_h, top, bottom, dilation_h)
    ow = out_size(width, kernel_w, stride_w, left, right, dilation_w)
    padded = pad_spatial(data, pads)
    term = te.reduce_axis((0, run), "term")
    short = te.compute(
        (n, oh, ow, co, kernel_h, kernel_w, ci // run),
        lambda b, y, x, c, h, w, r: te.sum(
            padded[b, y * stride_h + h * dilation_h, x * stride_w + w * dilation_w, r * run + term]
            * weight[h, w, r * run + term, c],
            axis=[term],
        ),
        name="short_sums",
        attrs={KERNEL: "short_sums"},
    )
    rh, rw, rc = (te.reduce_axis((0, k), name) for k, name in ((kernel_h, "rh"), (kernel_w, "rw"), (ci // run, "rc")))
    result = te.compute(
        (n, oh, ow, co),
        lambda b, y, x, c: te.sum(short[b, y, x, c, rh, rw, rc].astype("float32"), axis=[rh, rw, rc]),
        name="conv2d_half",
        attrs={KERNEL: "conv2d_half"},
    )
    if channels is None or channels == co:
        return result
    return te.compute((n, oh, ow, channels), lambda b, y, x, c: result[b, y, x, c], name="kept_channels")
