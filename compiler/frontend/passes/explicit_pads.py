"""Writes `auto_pad` and ConvTranspose's `output_shape` out as `pads`.

TVM's importer computes some of these paddings wrongly (SAME_LOWER of pools, output_shape). Requires: static shapes.
Ensures: no Conv, ConvTranspose or pool with another `auto_pad` than NOTSET, and no `output_shape`, where the shapes
are known.
"""

from __future__ import annotations

import onnx

from compiler.frontend.graphs import attribute, set_attribute, static_shape

_WINDOWED = ("Conv", "MaxPool", "AveragePool", "LpPool")


def explicit_pads(graph: onnx.GraphProto, known: dict[str, onnx.ValueInfoProto]) -> None:
    """Works on the outermost graph in place; `known` gives the shapes."""
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in (*_WINDOWED, "ConvTranspose"):
            continue
        shapes = [static_shape(known[name]) if name in known else None for name in node.input]
        data, kernel = shapes[0], attribute(node, "kernel_shape")
        if kernel is None and len(shapes) > 1 and shapes[1] is not None:
            kernel = shapes[1][2:]
        if data is None or kernel is None:
            continue
        mode = attribute(node, "auto_pad", b"NOTSET")
        if node.op_type == "ConvTranspose":
            pads = _transposed_pads(node, mode, data[2:], kernel)
        elif mode in (b"SAME_UPPER", b"SAME_LOWER"):
            pads = _same_pads(node, mode, data[2:], kernel)
        else:
            pads = [0] * 2 * len(kernel) if mode == b"VALID" else None
        if pads is not None:
            set_attribute(node, "auto_pad", None)
            set_attribute(node, "output_shape", None)
            set_attribute(node, "pads", pads)


def _same_pads(node: onnx.NodeProto, mode: bytes, sizes: tuple[int, ...], kernel: list[int]) -> list[int]:
    """The paddings that make ceil(size / stride) windows: the odd one at the end for SAME_UPPER, at the start for
    SAME_LOWER.
    """
    strides = attribute(node, "strides") or [1] * len(kernel)
    dilations = attribute(node, "dilations") or [1] * len(kernel)
    totals = []
    for size, extent, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        windows = -(-size // stride)
        totals.append(max((windows - 1) * stride + (extent - 1) * dilation + 1 - size, 0))
    return _split(totals, mode)


def _transposed_pads(node: onnx.NodeProto, mode: bytes, sizes: tuple[int, ...], kernel: list[int]) -> list[int] | None:
    """The paddings by which a transposed convolution crops its result to the size asked for; None where none is."""
    rank = len(kernel)
    strides = attribute(node, "strides") or [1] * rank
    dilations = attribute(node, "dilations") or [1] * rank
    extra = attribute(node, "output_padding") or [0] * rank
    wanted = attribute(node, "output_shape")
    if wanted is None and mode == b"VALID":
        return [0] * 2 * rank
    if wanted is None and mode in (b"SAME_UPPER", b"SAME_LOWER"):
        wanted = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    if wanted is None:
        return None
    wanted = list(wanted)[-rank:]
    totals = [
        stride * (size - 1) + pad + (extent - 1) * dilation + 1 - out
        for size, stride, pad, extent, dilation, out in zip(
            sizes, strides, extra, kernel, dilations, wanted, strict=True
        )
    ]
    if any(total < 0 for total in totals):  # the result must grow: that is output_padding's work
        set_attribute(node, "output_padding", [pad + max(-total, 0) for pad, total in zip(extra, totals, strict=True)])
        totals = [max(total, 0) for total in totals]
    return _split(totals, mode, transposed=True)


def _split(totals: list[int], mode: bytes, transposed: bool = False) -> list[int]:
    """Start paddings, then end paddings. What remains of an odd total goes where the specification puts it."""
    halves = [total // 2 for total in totals]
    rest = [total - half for total, half in zip(totals, halves, strict=True)]
    at_end = mode == b"SAME_UPPER" or (not transposed and mode != b"SAME_LOWER")
    return [*halves, *rest] if at_end else [*rest, *halves]
