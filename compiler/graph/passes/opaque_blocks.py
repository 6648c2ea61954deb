"""Put a block around functions that are one opaque block: TVM's scatter kernels.

Requires: fused functions.
Ensures: every function's body is a block that holds blocks. SplitLayoutRewritePreproc, which splits the packing of
weights off, looks for those and fails on a function without ("There should be a compute block"). The block around is
not named `root`, so that such a function still is none that can be scheduled.
"""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx


def opaque_blocks(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    out = mod.clone()
    for gvar, func in mod.functions.items():
        if not isinstance(func, tirx.PrimFunc) or not isinstance(func.body, s_tir.SBlockRealize):
            continue
        if str(func.body.block.name_hint) != "root":
            block = s_tir.SBlock([], [], [], "opaque", func.body)
            out[gvar] = func.with_body(s_tir.SBlockRealize([], True, block))
    return out
