"""Zero (or other constant) padding of the two spatial axes of an NHWC tensor."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import te, tirx, topi

from . import KERNEL


def pad_spatial(data: te.Tensor, pads: Sequence[int], value: float = 0.0) -> te.Tensor:
    """`data` [n, h, w, c] padded by `pads` = (top, left, bottom, right), in elements; `data` itself if all are zero."""
    top, left, bottom, right = (int(p) for p in pads)
    if not (top or left or bottom or right):
        return data
    return topi.nn.pad(
        data,
        (0, top, left, 0),
        (0, bottom, right, 0),
        pad_value=tirx.const(value, data.dtype),
        name="padded",
        attrs={KERNEL: "pad"},
    )


def four(values: Sequence[int]) -> tuple[int, int, int, int]:
    """Padding as (top, left, bottom, right), from Relax's one, two or four numbers."""
    sizes = [int(v) for v in values]
    if len(sizes) == 1:
        sizes *= 4
    elif len(sizes) == 2:
        sizes *= 2
    return sizes[0], sizes[1], sizes[2], sizes[3]


def out_size(size: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1) -> int:
    """Elements that a window of `kernel` leaves of an axis of `size` elements."""
    return (size + before + after - (kernel - 1) * dilation - 1) // stride + 1
