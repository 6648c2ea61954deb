"""Windows that stay within a channel: pooling and depthwise convolution. A vector of channels of a pixel per thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tvm import s_tir

from .blocks import VECTOR, NotApplicable, bind_threads, count, extents, is_reduction, kernel_of, root_blocks
from .elementwise import schedule_rest
from .gpu import Gpu
from .inlining import inline_before, inline_behind

KERNEL = "window"
MAX_UNROLLED = 49  # window elements unrolled: 7 x 7
THREADS_PER_SM = 512  # that a multiprocessor should have before threads take vectors


def spaces(sch: s_tir.Schedule, gpu: Gpu) -> list[Callable[[s_tir.Schedule], None]]:
    """One space per width of a vector of channels."""
    found = [b for b in root_blocks(sch) if kernel_of(sch, b) == KERNEL]
    if len(found) != 1 or sum(is_reduction(sch, b) for b in root_blocks(sch)) != 1:
        raise NotApplicable("not one window")
    sizes = extents(sch, found[0])
    if len(sizes) != 6:
        raise NotApplicable("not a window over two axes")
    results = count(sizes[:4])
    widths = [w for w in (VECTOR, 2, 1) if sizes[3] % w == 0]
    enough = [w for w in widths if results // w >= THREADS_PER_SM * gpu.sms]
    widths.sort(key=lambda w: (w not in enough, -w if w in enough else w))
    return [partial(_schedule, width=width, gpu=gpu) for width in widths]


def _schedule(sch: s_tir.Schedule, width: int, gpu: Gpu) -> None:
    [anchor] = [b for b in root_blocks(sch) if kernel_of(sch, b) == KERNEL]
    inline_before(sch, anchor)
    n, y, x, c, rh, rw = sch.get_loops(anchor)
    taps = count(extents(sch, anchor)[4:])
    across, vector = sch.split(c, [None, width])
    thread = bind_threads(sch, [n, y, x, across], gpu, even=True)
    written = sch.cache_write(anchor, 0, "local")
    sch.reverse_compute_at(written, thread, preserve_unit_loops=True)
    inline_behind(sch, written)
    sch.reorder(rh, rw, vector)
    if width > 1:
        sch.vectorize(vector)
        sch.vectorize(sch.get_loops(written)[-1])
    if taps <= MAX_UNROLLED:
        sch.unroll(rh)
        sch.unroll(rw)
    init = sch.decompose_reduction(anchor, rh)
    if width > 1:
        sch.vectorize(sch.get_loops(init)[-1])
    schedule_rest(sch, gpu)
