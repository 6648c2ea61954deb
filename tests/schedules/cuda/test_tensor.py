"""Which products get tensor cores (FP16, TF32) or FP16 in pairs, and what tiles: within the GPU's limits, and enough to
fill it."""

from __future__ import annotations

from functools import partial

import pytest
from tvm import s_tir
from tvm.s_tir import TensorIntrin

import schedules.cuda
from compiler.errors import EdgetuneError
from compiler.graph.scheduling import design_spaces
from compiler.records.workload import replay, trace_text, workload_of
from schedules.cuda import half, tensor, tensor_tiles, tiles
from schedules.cuda.blocks import NotApplicable
from schedules.cuda.factors import HALF as HALVES
from schedules.cuda.factors import TF32, Factors
from schedules.cuda.gpu import gpu
from tests.cuda.half_cases import HALF, half_conv
from tests.schedules.kernels_for_tests import conv_case, dense_case

# Small pictures, one picture and many, a first layer, channels that are no multiple of anything.
PRODUCTS = [
    tiles.Product(1, 49, 512, 4608, 512),
    tiles.Product(1, 3136, 64, 576, 64),
    tiles.Product(1, 128 * 784, 128, 1152, 128),
    tiles.Product(1, 12544, 64, 147, 3),
    tiles.Product(3, 30, 12, 72, 8),
    tiles.Product(1, 2, 1000, 4096, 4096),
]
SHARED_KB = {75: 64, 80: 163, 86: 99, 87: 163, 89: 99, 90: 227, 100: 227, 110: 227, 120: 99}


FACTORS = [*((sm, HALVES) for sm in SHARED_KB), *((sm, TF32) for sm in SHARED_KB if sm >= 80)]


@pytest.mark.parametrize(("sm", "factors"), FACTORS)
def test_tiles_fit_the_gpu(sm: int, factors: Factors) -> None:
    hardware = gpu(sm, 20)
    for product in PRODUCTS:
        offered = tensor_tiles.tensor_tiles(product, hardware, sm >= 80, factors)
        assert offered
        for tile in offered:
            assert tile.threads <= 1024 and tile.registers <= 255
            assert tile.threads * tile.registers <= hardware.block_registers
            assert tile.shared_bytes <= SHARED_KB[sm] * 1024
            # TVM's runtime asks the driver for more than 48 KB only where what it gives at the launch is as much.
            assert tile.shared_bytes <= 48 * 1024 or tile.piece_bytes >= 48 * 1024
            assert tile.stages <= max(1, -(-product.k // tile.depth // tile.parts))


def test_small_results_are_split_over_all_multiprocessors() -> None:
    """A 7 x 7 picture has 49 rows: without splitting its sums most of the GPU would idle."""
    for sms in (16, 132):
        product = PRODUCTS[0]
        chosen = tensor_tiles.tensor_tiles(product, gpu(90, sms, memory_gb_s=3350), asynchronous=True)[0]
        blocks = -(-product.m // chosen.rows) * -(-product.n // chosen.columns) * chosen.parts
        assert chosen.parts > 1 and blocks >= sms / 2


def test_many_pictures_get_large_tiles_and_whole_sums() -> None:
    chosen = tensor_tiles.tensor_tiles(PRODUCTS[2], gpu(80, 108, memory_gb_s=1555), asynchronous=True)[0]
    assert chosen.parts == 1 and chosen.rows * chosen.columns >= 128 * 128
    assert chosen.stages >= 2


def test_only_weights_stored_in_half_are_rounded() -> None:
    wide, narrow = conv_case((1, 8, 8, 16), 16), conv_case((1, 8, 8, 16), 16, storage=HALF)
    orin, tx1 = gpu(87, 16), gpu(53, 2)
    for family, hardware in ((tensor, orin), (half, tx1)):
        assert family.spaces(s_tir.Schedule(narrow.task), hardware)
        with pytest.raises(NotApplicable, match="not stored in FP16"):
            family.spaces(s_tir.Schedule(wide.task), hardware)


def test_only_kernels_that_say_so_are_rounded_to_tf32_where_the_gpu_can() -> None:
    make = partial(conv_case, (1, 14, 14, 64), 64, pads=(1,), factors="tf32")
    for sm in SHARED_KB:
        task = make().task
        if sm < 80:
            with pytest.raises(NotApplicable, match="no tensor cores for TF32"):
                tensor.spaces(s_tir.Schedule(task), gpu(sm, 8))
            continue
        [first, *_] = design_spaces(task, gpu(sm, 8))
        text = str(first.mod.script())
        assert "software_pipeline_async_stages" in text and "nvcuda::wmma::multiply" in text
    # Elsewhere it is computed in FP32, which is no less exact.
    assert "wmma" not in str(design_spaces(make().task, gpu(75, 8))[0].mod.script())


def test_a_schedule_in_tf32_is_refused_for_a_kernel_of_fp32() -> None:
    """Whoever claims it: records are found by the kernel's hash, which differs, and traces may come from elsewhere."""
    orin = gpu(87, 16, memory_gb_s=204.8)
    narrow, wide = (conv_case((1, 14, 14, 64), 64, pads=(1,), factors=factors).task for factors in ("tf32", None))
    assert workload_of(narrow).hash != workload_of(wide).hash
    trace = trace_text(design_spaces(narrow, orin)[0])
    assert replay(trace, narrow)
    with pytest.raises(EdgetuneError, match="rounds factors to TF32, and the kernel is FP32"):
        replay(trace, wide)
    assert replay(trace_text(design_spaces(wide, orin)[0]), narrow)  # FP32 is always allowed


def test_each_gpu_has_its_own_way_of_multiplying_halves() -> None:
    task = conv_case((1, 8, 8, 16), 16, storage=HALF).task
    for sm in SHARED_KB:
        with pytest.raises(NotApplicable):
            half.spaces(s_tir.Schedule(task), gpu(sm, 8))
    for sm in (53, 62, 72):
        with pytest.raises(NotApplicable, match="no tensor cores"):
            tensor.spaces(s_tir.Schedule(task), gpu(sm, 8))
        assert half.spaces(s_tir.Schedule(task), gpu(sm, 8))


def test_a_vector_has_no_use_for_tensor_cores() -> None:
    task = dense_case(1, 256, 128, storage=HALF).task
    with pytest.raises(NotApplicable, match="vector"):
        tensor.spaces(s_tir.Schedule(task), gpu(87, 16))
    assert schedules.cuda.spaces(s_tir.Schedule(task), gpu(87, 16))


def test_pieces_are_copied_only_where_the_gpu_can_and_both_factors_are_narrow() -> None:
    narrow = partial(half_conv, (1, 14, 14, 64), 64, pads=(1,))
    for make, sm, copied in (
        (narrow, 80, True),
        (narrow, 75, False),
        (partial(conv_case, (1, 14, 14, 64), 64, pads=(1,), storage=HALF), 80, False),
    ):
        [first, *_] = design_spaces(make().task, gpu(sm, 40))
        assert ("software_pipeline_async_stages" in first.mod.script()) == copied


def test_the_search_is_offered_other_tiles_and_steps_of_unrolling() -> None:
    offered = design_spaces(half_conv((1, 14, 14, 64), 64, pads=(1,)).task, gpu(87, 16))
    assert len(offered) == tensor.VARIANTS
    assert len({str(sch.mod.script()) for sch in offered}) == len(offered)
    for sch in offered:
        assert any(str(inst.kind.name) == "SampleCategorical" for inst in sch.trace.insts)


@pytest.mark.parametrize("kernel", ["copied", "rounded, in parts", "of TF32", "in pairs", "of FP32"])
def test_traces_are_kept_and_replayed_elsewhere(kernel: str) -> None:
    """What tuning finds is kept as a trace; another process knows the intrinsics only by the names in it."""
    orin, tx1 = gpu(87, 16, memory_gb_s=204.8), gpu(53, 2, memory_gb_s=25.6)
    make, hardware = {
        "copied": (partial(half_conv, (1, 14, 14, 64), 64, pads=(1,)), orin),
        "rounded, in parts": (partial(conv_case, (1, 7, 7, 512), 64, pads=(1,), storage=HALF), orin),
        "in pairs": (partial(conv_case, (1, 8, 8, 16), 16, storage=HALF), tx1),
        "of TF32": (partial(conv_case, (1, 7, 7, 512), 64, pads=(1,), factors="tf32"), orin),
        "of FP32": (partial(conv_case, (1, 7, 7, 512), 64, pads=(1,)), orin),
    }[kernel]
    task = make().task
    for sch in design_spaces(task, hardware)[:2]:
        again = replay(trace_text(sch), task)
        assert again.mod.script() == sch.mod.script()


def test_only_known_intrinsics_are_registered() -> None:
    schedules.cuda.register_intrinsics(["edgetune.half.8x8", "edgetune.tile.other", "dot_4x4_i8i8s32"])
    assert TensorIntrin.get("edgetune.half.8x8", allow_missing=True) is None
