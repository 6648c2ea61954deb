"""Concatenation as one block per input, so that every copy is a plain, vectorisable one."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.script import from_source
from tvm.script import tirx as script

from . import KERNEL

AXIS = "edgetune.concat"  # attribute of the function: the axis


def concat(shapes: Sequence[Sequence[int]], dtype: str, axis: int) -> tirx.PrimFunc:
    """A function (inputs..., out) that writes the inputs, of `shapes`, one behind another along `axis` of `out`.

    TE's concatenate is one block with a chain of selects, which cannot be vectorised; this is a block per input.
    """
    rank = len(shapes[0])
    out_shape = list(shapes[0])
    out_shape[axis] = sum(shape[axis] for shape in shapes)
    names = [f"i{d}" for d in range(rank)]
    buffers = [f'x{k}: T.Buffer({tuple(shape)!r}, "{dtype}")' for k, shape in enumerate(shapes)]
    lines = [
        "@T.prim_func(private=True, s_tir=True)",
        f'def concat({", ".join(buffers)}, out: T.Buffer({tuple(out_shape)!r}, "{dtype}")):',
        f'    T.func_attr({{"tirx.noalias": True, "{AXIS}": {axis}}})',
    ]
    offset = 0
    for k, shape in enumerate(shapes):
        at = ", ".join(f"v{n} + {offset}" if d == axis and offset else f"v{n}" for d, n in enumerate(names))
        source = ", ".join(f"v{n}" for n in names)
        lines += [
            f"    for {', '.join(names)} in T.grid({', '.join(str(s) for s in shape)}):",
            f'        with T.sblock("copy_{k}"):',
            f'            {", ".join("v" + n for n in names)} = T.axis.remap("{"S" * rank}", [{", ".join(names)}])',
            f'            T.sblock_attr({{"{KERNEL}": "copy"}})',
            f"            out[{at}] = x{k}[{source}]",
        ]
        offset += shape[axis]
    return from_source("\n".join(lines) + "\n", {"T": script})
