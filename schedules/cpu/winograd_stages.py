"""What a Winograd convolution consists of, on whatever hardware: its stages by name, and what writes the result out."""

from __future__ import annotations

from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from .blocks import NotApplicable, is_reduction, kernel_of, root_blocks

KERNEL = "winograd"
STAGES = ("winograd_rows", "winograd_pack", "winograd_columns", "winograd_inverse")


def stages_of(sch: s_tir.Schedule) -> tuple[dict[str, SBlockRV], SBlockRV]:
    """The stages by name, and the block that writes out; what else there is, is inlined.

    Weights stored narrower are among that: widening them ahead was measured to be up to 15 % slower on a CPU. Raises
    NotApplicable for what is no whole Winograd convolution.
    """
    outputs = sch.get_output_blocks(sch.get_sblock("root"))
    if len(outputs) != 1:
        raise NotApplicable("several outputs")
    out = sch.get(outputs[0]).name_hint
    stages: dict[str, SBlockRV] = {}
    for block in root_blocks(sch):
        kind = kernel_of(sch, block)
        if sch.get(block).name_hint == out:
            continue
        if kind in (*STAGES, KERNEL, "pad"):
            stages[str(kind)] = block
        elif is_reduction(sch, block):
            raise NotApplicable("a second reduction")
        else:
            sch.compute_inline(block)
    if not {*STAGES, KERNEL} <= stages.keys():
        raise NotApplicable("not a whole Winograd convolution")
    return stages, sch.get_sblock(out)
