"""Tiles of matrices for tensor cores: what TVM's source wants of CUDA's <mma.h>, written anew.

TVM writes `nvcuda::wmma` functions. NVIDIA's header for them is not among the packages that NVRTC needs, and leaves
open how tiles are loaded. Here a tile of 16 x 16 is loaded from shared memory by `ldmatrix` and multiplied by
`mma.sync`, m16n8k16 from sm_80 on and m16n8k8, twice, on sm_75; both take their registers in the same order (PTX ISA,
"Matrix Fragments for mma.m16n8k16").

Tiles of TF32, from sm_80 on, are two of m16n8k8 for each half of the columns. `ldmatrix` brings the first factor: four
floats are a row of eight halves to it. The second factor's columns lie across rows of shared memory, which it could
only transpose by halves, so that each lane reads its eight floats by itself: rows whose length is 8 or 24 modulo 32
keep the lanes in different banks. The first factor, data, is rounded to TF32 in registers; the second, weights, was
rounded when it was stored (`compiler/graph/passes/legalize.py`).

Threads of a block are numbered so that threadIdx.x is the lane: blocks are 32 threads wide.
"""

from __future__ import annotations

INCLUDE = "#include <mma.h>"

TEXT = r"""
#ifndef EDGETUNE_EMULATED
#include <cuda_fp16.h>
namespace edgetune {
// Four matrices of 8 x 8, of which each lane says where one row is: 0 to 7 of the first, 8 to 15 of the second, ...
__device__ __forceinline__ void load_rows(unsigned (&to)[4], const half* row) {
  const unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(at) : "memory");
}
// The same, each matrix transposed.
__device__ __forceinline__ void load_columns(unsigned (&to)[4], const half* row) {
  const unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(at) : "memory");
}
// sums [16, 8] += a [16, 16] x b [16, 8]
__device__ __forceinline__ void multiply(float* sums, const unsigned (&a)[4], unsigned b0, unsigned b1) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]) : "r"(a[0]), "r"(a[1]), "r"(b0));
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]) : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}
#if __CUDA_ARCH__ >= 800
__device__ __forceinline__ unsigned rounded(unsigned bits) {
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(__uint_as_float(bits)));
  return bits;
}
// sums [16, 8] += a [16, 8] x b [8, 8], both of TF32
__device__ __forceinline__ void multiply_tf32(float* sums, const unsigned* a, unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif
}  // namespace edgetune
#endif

namespace nvcuda {
namespace wmma {
struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
enum layout_t { mem_row_major };

template <typename Part, int M, int N, int K, typename T, typename Layout = void> struct fragment;
template <> struct fragment<matrix_a, 16, 16, 16, half, row_major> { unsigned x[4]; };
template <> struct fragment<matrix_b, 16, 16, 16, half, row_major> { unsigned x[4]; };
template <> struct fragment<accumulator, 16, 16, 16, float> { float x[8]; };
typedef fragment<matrix_a, 16, 16, 16, half, row_major> First;
typedef fragment<matrix_b, 16, 16, 16, half, row_major> Second;
typedef fragment<accumulator, 16, 16, 16, float> Sums;
// By the type of sums, since TVM knows no others of FP32.
template <> struct fragment<accumulator, 16, 16, 8, float> { unsigned x[8]; };
template <> struct fragment<accumulator, 16, 16, 4, float> { unsigned x[8]; };
typedef fragment<accumulator, 16, 16, 8, float> FirstTf32;
typedef fragment<accumulator, 16, 16, 4, float> SecondTf32;

// Lanes name the rows of the two matrices on the left, then of the two on the right.
__device__ __forceinline__ const half* row_of(const half* tile, int stride) {
  return tile + (threadIdx.x & 15) * stride + (threadIdx.x & 16) / 2;
}
__device__ __forceinline__ void load_matrix_sync(First& to, const half* tile, int stride) {
  edgetune::load_rows(to.x, row_of(tile, stride));
}
__device__ __forceinline__ void load_matrix_sync(Second& to, const half* tile, int stride) {
  edgetune::load_columns(to.x, row_of(tile, stride));
}
__device__ __forceinline__ void fill_fragment(Sums& to, float value) {
#pragma unroll
  for (int i = 0; i < 8; ++i) to.x[i] = value;
}
__device__ __forceinline__ void mma_sync(Sums& to, const First& a, const Second& b, const Sums&) {
  edgetune::multiply(to.x, a.x, b.x[0], b.x[1]);
  edgetune::multiply(to.x + 4, a.x, b.x[2], b.x[3]);
}
#if __CUDA_ARCH__ >= 800 || defined(EDGETUNE_EMULATED)
__device__ __forceinline__ void load_matrix_sync(FirstTf32& to, const float* tile, int stride) {
  const float* row = tile + (threadIdx.x & 15) * stride + (threadIdx.x & 16) / 4;
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    unsigned read[4];
    edgetune::load_rows(read, reinterpret_cast<const half*>(row + 8 * k));
#pragma unroll
    for (int i = 0; i < 4; ++i) to.x[4 * k + i] = edgetune::rounded(read[i]);
  }
}
__device__ __forceinline__ void load_matrix_sync(SecondTf32& to, const float* tile, int stride) {
  const unsigned* at = reinterpret_cast<const unsigned*>(tile) + (threadIdx.x & 3) * stride + (threadIdx.x & 31) / 4;
#pragma unroll
  for (int i = 0; i < 8; ++i) to.x[i] = at[i % 4 * 4 * stride + i / 4 * 8];
}
__device__ __forceinline__ void multiply(
    Sums* sums, int which, const FirstTf32* first, int row, const SecondTf32* second, int column) {
  const unsigned *a = first[row].x, *b = second[column].x;
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    edgetune::multiply_tf32(sums[which].x, a + 4 * k, b[2 * k], b[2 * k + 1]);
    edgetune::multiply_tf32(sums[which].x + 4, a + 4 * k, b[4 + 2 * k], b[5 + 2 * k]);
  }
}
#endif
__device__ __forceinline__ void store_matrix_sync(float* tile, const Sums& from, int stride, layout_t) {
  float* at = tile + (threadIdx.x & 31) / 4 * stride + (threadIdx.x & 3) * 2;
  *reinterpret_cast<float2*>(at) = make_float2(from.x[0], from.x[1]);
  *reinterpret_cast<float2*>(at + 8 * stride) = make_float2(from.x[2], from.x[3]);
  *reinterpret_cast<float2*>(at + 8) = make_float2(from.x[4], from.x[5]);
  *reinterpret_cast<float2*>(at + 8 * stride + 8) = make_float2(from.x[6], from.x[7]);
}
}  // namespace wmma
}  // namespace nvcuda
"""
"""What takes the place of the line `INCLUDE`. `mma_sync` adds to its last argument in place, as
TVM calls it."""
