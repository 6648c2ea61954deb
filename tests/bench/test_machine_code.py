"""The inner loops of small kernels that TVM compiles here for CPUs of all kinds, and of loops written by hand."""

from __future__ import annotations

from typing import Any

import pytest
import tvm
from tvm.script import tirx as T  # noqa: N812  (TVMScript's own convention)

import targets
from compiler.bench.machine_code import Assembly, Loop, faults

STEPS = 64
WIDEST = {"x86-znver4": "zmm", "x86-avx2": "ymm", "arm-cortex-a76": "v.4s"}


def outer_products(rows: int, vectors: int, lanes: int) -> Any:
    """A matrix product by rank-one updates of a register tile, `rows` x `vectors` vectors of `lanes` floats."""
    columns = vectors * lanes

    @T.prim_func
    def product(left: T.handle, right: T.handle, result: T.handle) -> None:
        T.func_attr({"global_symbol": "product", "tirx.noalias": True})
        a = T.match_buffer(left, (STEPS * rows,), "float32")
        b = T.match_buffer(right, (STEPS * columns,), "float32")
        out = T.match_buffer(result, (rows * columns,), "float32")
        acc = T.alloc_buffer((rows * columns,), "float32", scope="local")
        for row in T.unroll(rows):
            for vector in T.unroll(vectors):
                for lane in T.vectorized(lanes):
                    acc[row * columns + vector * lanes + lane] = T.float32(0)
        for step in range(STEPS):
            for row in T.unroll(rows):
                for vector in T.unroll(vectors):
                    for lane in T.vectorized(lanes):
                        acc[row * columns + vector * lanes + lane] = (
                            acc[row * columns + vector * lanes + lane]
                            + a[step * rows + row] * b[step * columns + vector * lanes + lane]
                        )
        for row in T.unroll(rows):
            for vector in T.unroll(vectors):
                for lane in T.vectorized(lanes):
                    out[row * columns + vector * lanes + lane] = acc[row * columns + vector * lanes + lane]

    return product


def hot_loop(target: targets.Target, rows: int, vectors: int, bits: int | None = None) -> Loop:
    """The hot loop of `outer_products`, with vectors as wide as the target has them or of `bits`."""
    lanes = (bits or target.hardware.vector_bits or 0) // 32
    module = tvm.compile(tvm.IRModule({"product": outer_products(rows, vectors, lanes)}), target=target.to_tvm())
    [loop] = Assembly(module.mod.inspect_source("asm"), target.family).hot_loops("product")
    return loop


@pytest.mark.parametrize("name", WIDEST)
def test_a_good_kernel(name: str) -> None:
    target = targets.get(name)
    loop = hot_loop(target, rows=4, vectors=2)
    assert list(loop.units) == [WIDEST[name]]
    assert loop.bits == target.hardware.vector_bits
    # LLVM may unroll the loop, but what one step adds to is all there is.
    assert loop.accumulators == 8
    assert loop.fused == loop.carried and loop.fused % 8 == 0
    assert (loop.apart, loop.spills, loop.reloads, loop.stored) == (0, 0, 0, 0)
    assert faults(loop, target.hardware) == []


@pytest.mark.parametrize("name", WIDEST)
def test_a_tile_too_large_for_the_registers_spills(name: str) -> None:
    target = targets.get(name)
    loop = hot_loop(target, rows=12, vectors=6)
    assert loop.accumulators == 72
    assert loop.fused == 72
    # No more accumulators stay in registers than there are.
    outside = 72 - (target.hardware.vector_registers or 0)
    assert min(loop.spills + loop.stored, loop.reloads + loop.stored) >= outside
    assert any("spills" in fault or "stored" in fault for fault in faults(loop, target.hardware))


@pytest.mark.parametrize("name", ["x86-znver4", "arm-cortex-a76"])
def test_narrow_vectors(name: str) -> None:
    target = targets.get(name)
    bits = (target.hardware.vector_bits or 0) // 2
    loop = hot_loop(target, rows=4, vectors=2, bits=bits)
    assert loop.bits == bits
    assert any(f"vectors of {bits} bits" in fault for fault in faults(loop, target.hardware))


def test_few_accumulators_are_bound_by_latency() -> None:
    target = targets.get("x86-avx2")
    assert faults(hot_loop(target, rows=2, vectors=2), target.hardware) == ["bound by latency: 4 accumulators, not 8"]
    halves = targets.get("x86-znver4")  # its vectors go through the multiply-add units in halves
    assert faults(hot_loop(halves, rows=2, vectors=2), halves.hardware) == []


def test_a_target_without_fused_multiply_adds() -> None:
    target = targets.get("x86-64")
    loop = hot_loop(target, rows=4, vectors=2)
    assert loop.fused == 0
    assert loop.apart == loop.carried and loop.apart % 8 == 0
    assert loop.accumulators == 8
    assert faults(loop, target.hardware, fma=False) == []
    assert faults(loop, target.hardware) == [f"{loop.apart} of {loop.apart} not fused"]


def function(*lines: str, name: str = "kernel") -> str:
    body = "\n".join(line if line.endswith(":") else f"\t{line}" for line in lines)
    return f"\t.type\t{name},@function\n{name}:\n{body}\n\t.size\t{name}, .-{name}\n"


def test_the_accumulating_loop_is_hot_not_one_with_more_multiply_adds() -> None:
    text = function(
        ".L1:",  # a transform: what it adds to is new in each iteration
        *["vmovups (%rdi), %ymm0", "vfmadd231ps (%rsi), %ymm9, %ymm0", "vmovups %ymm0, (%rdx)"] * 3,
        "jne .L1",
        ".L2:",
        "vfmadd231ps (%rsi), %ymm9, %ymm1",
        "jne .L2",
        "retq",
    )
    transform, accumulating = Assembly(text, "x86").loops("kernel")
    assert (transform.fused, transform.carried) == (3, 0)
    assert Assembly(text, "x86").hot_loops("kernel") == [accumulating]
    assert (accumulating.label, accumulating.carried) == (".L2", 1)


def test_a_nest_of_loops_with_a_rare_block_behind_it() -> None:
    text = function(
        ".L1:",
        "vxorps %xmm1, %xmm1, %xmm1",
        ".L2:",
        "je .L4",
        ".L3:",
        "vfmadd231ps (%rsi), %ymm9, %ymm1",
        "jne .L2",
        "vmovups %ymm1, (%rdx)",
        "jne .L1",
        "retq",
        ".L4:",
        "vmulps %ymm9, %ymm9, %ymm9",
        "jmp .L3",
    )
    [loop] = Assembly(text, "x86").loops("kernel")
    assert (loop.label, loop.instructions, loop.fused) == (".L2", 5, 1)


def test_accumulators_that_go_over_the_stack_or_through_copies() -> None:
    text = function(
        "movq %rsp, %rbp",
        ".L1:",
        "movq 8(%rsp), %rax",
        "vmovups 64(%rsp), %ymm1",
        "vfmadd231ps (%rax), %ymm9, %ymm1",
        "vmovups %ymm1, 64(%rsp)",
        "vmovaps %ymm9, %ymm4",
        "vfmadd213ps -32(%rbp), %ymm8, %ymm4",
        "vmovups %ymm4, -32(%rbp)",
        "vmovaps %ymm5, %ymm6",
        "vfmadd231ps (%rbx), %ymm9, %ymm6",
        "vmovaps %ymm6, %ymm5",
        "jne .L1",
        "retq",
    )
    [loop] = Assembly(text, "x86").loops("kernel")
    assert (loop.accumulators, loop.carried, loop.fused) == (3, 3, 3)
    assert (loop.spills, loop.reloads, loop.addresses) == (2, 2, 1)


def test_the_frame_pointer_may_be_an_ordinary_register() -> None:
    text = function(".L1:", "vfmadd231ps (%rbp), %ymm9, %ymm1", "jne .L1", "retq")
    assert Assembly(text, "x86").loops("kernel")[0].reloads == 0


def test_an_accumulator_in_memory_is_stored_each_time() -> None:
    text = function(".L1:", "ldr q0, [x1, #32]", "fmla v0.4s, v2.4s, v3.s[1]", "str q0, [x1, #32]", "b.ne .L1", "ret")
    [loop] = Assembly(text, "arm").loops("kernel")
    assert (loop.accumulators, loop.stored, loop.spills) == (1, 1, 0)


def test_pairs_on_the_stack_of_an_arm() -> None:
    text = function(
        ".L1:",
        "ldp q0, q1, [sp, #32]",
        "ldr x3, [sp, #8]",
        "fmla v0.4s, v2.4s, v3.4s",
        "fmla v1.4s, v2.4s, v3.4s",
        "str q0, [sp, #32]",
        "str q1, [sp, #48]",
        "cbnz x4, .L1",
        "ret",
    )
    [loop] = Assembly(text, "arm").loops("kernel")
    assert (loop.accumulators, loop.reloads, loop.spills, loop.addresses) == (2, 2, 2, 1)


def test_a_kernel_is_all_that_its_entry_reaches() -> None:
    text = (
        function("callq kernel_compute_", name="__tvm_ffi_kernel")
        + function("leaq .L__lambda.1(%rip), %rdi", "retq", name="kernel_compute_")
        + function("retq", name=".L__lambda.1")
        + function("retq", name=".L__lambda.10")
    )
    assembly = Assembly(text, "x86")
    assert assembly.functions("kernel") == ["__tvm_ffi_kernel", "kernel_compute_", ".L__lambda.1"]
    assert assembly.hot_loops("kernel") == []
    with pytest.raises(KeyError):
        assembly.functions("other")


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="no instruction set is known for cuda"):
        Assembly(function("ret"), "cuda")
    with pytest.raises(ValueError, match="no functions"):
        Assembly("", "x86")
