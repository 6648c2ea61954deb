"""The kernels of `gpu_peak`, in CUDA, which TVM calls from kernels of its own. Imports TVM.

Each thread goes through independent chains of operations in registers, enough to hide the time that one takes. Factors
come from memory, so that no compiler knows them, and all sums are written, so that none may be left out.

TVMScript reads the annotations of its functions itself, so this file does not postpone their evaluation.
"""

from dataclasses import dataclass
from typing import Any

from tvm.script import tirx as T  # noqa: N812  (TVMScript's own convention)

THREADS = 256
"""Of a block."""

CHAINS = 16
TILES = 2
"""A warp multiplies TILES x TILES tiles of 16 x 16 x 16: eight chains of `mma.sync`."""

LOADS = 4
"""Of 16 bytes each, that a thread has on their way at once."""


@dataclass(frozen=True)
class Arithmetic:
    """A kernel of multiply-adds: its CUDA source, dtype and number of its factors, operations of a block and step."""

    name: str
    what: str
    source: str
    dtype: str
    factors: int
    operations: float


_MULTIPLY_ADDS = """
__device__ __forceinline__ void edgetune_peak_{name}(float* out, const {scalar}* factors, int steps) {{
  const {type} x = {x}, y = {y};
  {type} sums[{chains}];
#pragma unroll
  for (int i = 0; i < {chains}; ++i) sums[i] = y;
  for (int step = 0; step < steps; ++step) {{
#pragma unroll
    for (int i = 0; i < {chains}; ++i) sums[i] = {multiply_add};
  }}
  float whole = 0;
#pragma unroll
  for (int i = 0; i < {chains}; ++i) whole += {as_float};
  out[blockIdx.x * {threads} + threadIdx.x] = whole;
}}
"""
_TENSOR = """
#include <mma.h>
__device__ __forceinline__ void edgetune_peak_{name}(float* out, const {scalar}* factors, int steps) {{
  const unsigned* bits = reinterpret_cast<const unsigned*>(factors) + threadIdx.x % 32 * {registers};
  nvcuda::wmma::{first} left[{tiles}];
  nvcuda::wmma::{second} right[{tiles}];
  nvcuda::wmma::Sums sums[{tiles}][{tiles}];
#pragma unroll
  for (int i = 0; i < {tiles}; ++i) {{
#pragma unroll
    for (int k = 0; k < {registers}; ++k) {{
      left[i].x[k] = bits[i * 32 * {registers} + k];
      right[i].x[k] = bits[({tiles} + i) * 32 * {registers} + k];
    }}
#pragma unroll
    for (int j = 0; j < {tiles}; ++j) nvcuda::wmma::fill_fragment(sums[i][j], 0.0f);
  }}
  for (int step = 0; step < steps; ++step) {{
#pragma unroll
    for (int i = 0; i < {tiles}; ++i) {{
#pragma unroll
      for (int j = 0; j < {tiles}; ++j) {multiply};
    }}
  }}
  float whole = 0;
#pragma unroll
  for (int i = 0; i < {tiles}; ++i) {{
#pragma unroll
    for (int j = 0; j < {tiles}; ++j) {{
#pragma unroll
      for (int k = 0; k < 8; ++k) whole += sums[i][j].x[k];
    }}
  }}
  out[blockIdx.x * {threads} + threadIdx.x] = whole;
}}
"""
_READS = """
__device__ __forceinline__ void edgetune_peak_reads(float* out, const float* data, int steps) {{
  const float4* at = reinterpret_cast<const float4*>(data) + blockIdx.x * {threads} + threadIdx.x;
  float sums[{loads}] = {{}};
  for (int step = 0; step < steps; ++step) {{
#pragma unroll
    for (int i = 0; i < {loads}; ++i) {{
      const float4 four = at[static_cast<long long>(step * {loads} + i) * {stride}];
      sums[i] += four.x + four.y + four.z + four.w;
    }}
  }}
  float whole = 0;
#pragma unroll
  for (int i = 0; i < {loads}; ++i) whole += sums[i];
  out[blockIdx.x * {threads} + threadIdx.x] = whole;
}}
"""


def single() -> Arithmetic:
    """FP32: fused multiply-adds."""
    source = _MULTIPLY_ADDS.format(
        name="single", scalar="float", type="float", x="factors[0]", y="factors[1]", chains=CHAINS, threads=THREADS,
        multiply_add="sums[i] * x + y", as_float="sums[i]",
    )  # fmt: skip
    return Arithmetic("single", "FP32 multiply-adds", source, "float32", 2, 2.0 * THREADS * CHAINS)


def pairs() -> Arithmetic:
    """FP16 in pairs (HFMA2)."""
    source = _MULTIPLY_ADDS.format(
        name="pairs", scalar="half", type="half2", x="__half2half2(factors[0])", y="__half2half2(factors[1])",
        chains=CHAINS, threads=THREADS, multiply_add="__hfma2(sums[i], x, y)",
        as_float="static_cast<float>(sums[i].x) + static_cast<float>(sums[i].y)",
    )  # fmt: skip
    return Arithmetic("pairs", "FP16 multiply-adds in pairs", source, "float16", 2, 4.0 * THREADS * CHAINS)


_TILE_OPERATIONS = 2.0 * THREADS // 32 * TILES * TILES * 16**3


def tensor() -> Arithmetic:
    """FP16 on tensor cores, sums in FP32."""
    source = _TENSOR.format(
        name="tensor", scalar="half", first="First", second="Second", registers=4, tiles=TILES, threads=THREADS,
        multiply="nvcuda::wmma::mma_sync(sums[i][j], left[i], right[j], sums[i][j])",
    )  # fmt: skip
    return Arithmetic("tensor", "mma.sync of FP16 with FP32 sums", source, "float16", 2 * TILES * 256, _TILE_OPERATIONS)


def tensor_tf32() -> Arithmetic:
    """TF32 on tensor cores, sums in FP32."""
    source = _TENSOR.format(
        name="tensor_tf32", scalar="float", first="FirstTf32", second="SecondTf32", registers=8, tiles=TILES,
        threads=THREADS, multiply="nvcuda::wmma::multiply(sums[i], j, left, i, right, j)",
    )  # fmt: skip
    what = "mma.sync of TF32 with FP32 sums"
    return Arithmetic("tensor_tf32", what, source, "float32", 2 * TILES * 256, _TILE_OPERATIONS)


def arithmetic(kernel: Arithmetic, blocks: int) -> Any:
    """`kernel` on so many blocks: factors, a sum for each thread, and how many steps."""
    return _called(f"edgetune_peak_{kernel.name}", kernel.source, kernel.dtype, kernel.factors, blocks)


def reads(blocks: int, floats: int) -> Any:
    """The sum of `floats`: data, a sum for each thread, and how many steps of `floats_of_step`."""
    source = _READS.format(threads=THREADS, loads=LOADS, stride=blocks * THREADS)
    return _called("edgetune_peak_reads", source, "float32", floats, blocks)


def floats_of_step(blocks: int) -> int:
    """How many floats all threads of so many blocks read at once."""
    return blocks * THREADS * LOADS * 4


def _called(name: str, source: str, dtype: str, count: int, blocks: int) -> Any:
    threads = THREADS

    @T.prim_func
    def kernel(data: T.handle, sums: T.handle, steps: T.int32) -> None:
        T.func_attr({"tirx.noalias": True})
        given = T.match_buffer(data, (count,), dtype)
        out = T.match_buffer(sums, (blocks * threads,), "float32")
        for _ in T.thread_binding(blocks, "blockIdx.x"):
            for _ in T.thread_binding(threads, "threadIdx.x"):
                T.evaluate(
                    T.cuda.func_call(name, out.access_ptr("w"), given.access_ptr("r"), steps, source_code=source)
                )

    return kernel
