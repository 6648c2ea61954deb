"""How TVM lowers kernels for GPUs: what its own defaults leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tvm

# Copies that schedules mark as asynchronous become cp.async; without this they stay loads and stores. Nothing is
# marked but by schedules for GPUs that have it (sm_80 on).
_CONFIG = {"tirx.use_async_copy": True}
# With that TVM also looks for copies by Hexagon's DMA, which takes five times as long as all other passes.
_DISABLED = ["s_tir.LowerAsyncDMA"]


def lowering(target: tvm.target.Target) -> tvm.transform.PassContext:
    """The context in which kernels are compiled for `target`."""
    import tvm

    if target.kind.name != "cuda":
        return tvm.transform.PassContext()
    return tvm.transform.PassContext(config=_CONFIG, disabled_pass=_DISABLED)
