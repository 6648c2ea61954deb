"""Finding one's way in a fused function: which block does the work, which are beside it, and putting those away."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import s_tir, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

KERNEL = "edgetune.kernel"
SHORT_SUMS = "short_sums"  # kind of a block that sums up runs of products for the one that does the work


class NotApplicable(Exception):  # noqa: N818 - it says which family is next, not that anything went wrong
    """A schedule family met a function that is not of its shape; the next, more general one is tried."""


@dataclass
class Anchored:
    """A function with one block that does the work, one behind that writes out, and before it, where there are such,
    `pad`, `widen`, which makes float32 of weights stored narrower, and `short`, which sums up runs of products."""

    anchor: SBlockRV
    pad: SBlockRV | None
    out: SBlockRV
    widen: SBlockRV | None = None
    short: SBlockRV | None = None


def root_blocks(sch: s_tir.Schedule) -> list[SBlockRV]:
    """The blocks of the function, in order."""
    return list(sch.get_child_blocks(sch.get_sblock("root")))


def kernel_of(sch: s_tir.Schedule, block: SBlockRV) -> str | None:
    """The annotation that says what kind of work `block` does."""
    kind = sch.get(block).annotations.get(KERNEL)
    return None if kind is None else str(kind)


def is_reduction(sch: s_tir.Schedule, block: SBlockRV) -> bool:
    return any(int(it.iter_type) == tirx.IterVar.CommReduce for it in sch.get(block).iter_vars)


def extent(sch: s_tir.Schedule, loop: LoopRV) -> int:
    """Static extent of `loop`; NotApplicable where it is dynamic."""
    size = sch.get(loop).extent
    if not isinstance(size, tirx.IntImm):
        raise NotApplicable("a loop of dynamic extent")
    return int(size)


def extents(sch: s_tir.Schedule, block: SBlockRV) -> list[int]:
    return [extent(sch, loop) for loop in sch.get_loops(block)]


def gather(sch: s_tir.Schedule, kernel: str, keep_widened: bool = False) -> Anchored:
    """Find the block annotated `kernel`, inline everything elementwise around it, and return what is left.

    Weights are widened by every read unless `keep_widened`.

    Raises NotApplicable where the function has other reductions, several outputs or blocks that cannot be inlined.
    """
    blocks = root_blocks(sch)
    anchors = [b for b in blocks if kernel_of(sch, b) == kernel]
    if len(anchors) != 1:
        raise NotApplicable(f"{len(anchors)} blocks of kind {kernel}")
    anchor = anchors[0]
    anchor_name = sch.get(anchor).name_hint
    outputs = [sch.get(b).name_hint for b in sch.get_output_blocks(sch.get_sblock("root"))]
    if len(outputs) != 1:
        raise NotApplicable("several outputs")
    narrow = [b for b in blocks if kernel_of(sch, b) == "widen_data"]
    for block in narrow:  # first: padding is then read by the block that does the work
        _inline(sch, block)
    blocks = root_blocks(sch) if narrow else blocks
    short = next((b for b in blocks if kernel_of(sch, b) == SHORT_SUMS), None)
    multiplies = anchor_name if short is None else sch.get(short).name_hint
    pad = widen = None
    for block in blocks:
        name = sch.get(block).name_hint
        if name in (anchor_name, multiplies, outputs[0]):
            continue
        if is_reduction(sch, block):
            raise NotApplicable("a second reduction")
        if kernel_of(sch, block) == "pad" and any(sch.get(c).name_hint == multiplies for c in sch.get_consumers(block)):
            pad = block
            continue
        if keep_widened and kernel_of(sch, block) == "widen":
            widen = block
            continue
        _inline(sch, block)
    alone = anchor_name == outputs[0]
    out = sch.cache_write(anchor, 0, "global") if alone else sch.get_sblock(outputs[0])
    return Anchored(anchor, pad, out, widen, short)


def _inline(sch: s_tir.Schedule, block: SBlockRV) -> None:
    try:
        sch.compute_inline(block)
    except Exception as error:  # TVM's ScheduleError has no type of its own in Python
        raise NotApplicable(f"{sch.get(block).name_hint} cannot be inlined") from error


def vectorize_inner(sch: s_tir.Schedule, loop: LoopRV, lanes: int) -> None:
    """Vectorise `loop` by the widest power of two up to `lanes` that divides it; leave it alone if none does."""
    size = extent(sch, loop)
    while lanes > 1 and size % lanes:
        lanes //= 2
    if lanes > 1:
        sch.vectorize(sch.split(loop, [None, lanes])[1])


def widen(sch: s_tir.Schedule, block: SBlockRV, at: LoopRV, lanes: int) -> None:
    """Widen the weights that a turn of the loop `at` reads before they are read, into scratch memory."""
    sch.compute_at(block, at, preserve_unit_loops=True)
    vectorize_inner(sch, sch.get_loops(block)[-1], lanes)


def parallel_outer(sch: s_tir.Schedule, loops: list[LoopRV]) -> LoopRV:
    """Fuse `loops` into one and run it on all cores."""
    fused = sch.fuse(*loops) if len(loops) > 1 else loops[0]
    sch.parallel(fused)
    return fused
