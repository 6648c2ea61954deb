"""TVM's CUDA source made ready for NVRTC, which has no C library.

TVM's source begins with headers of the C++ library for the sake of a few types and traits: parsing them takes 1 to 3 s,
a hundred times what most kernels take. They are replaced by what kernels use of them.
"""

from __future__ import annotations

from compiler.cuda import fragments

# Preprocessor blocks of TVM's preamble that are left out, by their first line: the headers, and stand-ins for shuffles
# that every CUDA since 9 has itself.
_LEFT_OUT = ("#ifdef __CUDACC_RTC__", "#if defined(__CUDA_ARCH__) && (__CUDA_ARCH__ < 700)")
_HOST_HEADERS = frozenset({"#include <cuda.h>"})

PREAMBLE = """\
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#define __asm__ asm
#define __volatile__ volatile
"""
# In front of the first kernel, behind all headers. CUDA's max and min drop a NaN; `a > b ? a : b` is `b` where either
# is one, as on CPUs, and kernels are written for that (`compiler/graph/kernels/bounds.py`).
BOUNDS = """\
template <typename T> __device__ __forceinline__ T edgetune_max(T a, T b) { return a > b ? a : b; }
template <typename T> __device__ __forceinline__ T edgetune_min(T a, T b) { return a < b ? a : b; }
#define max edgetune_max
#define min edgetune_min
"""
_KERNEL = 'extern "C" __global__'
WHOLE_PREAMBLE = """\
#include <cuda/std/cstdint>
#include <cuda/std/limits>
using cuda::std::int8_t;
using cuda::std::int16_t;
using cuda::std::int32_t;
using cuda::std::int64_t;
using cuda::std::uint8_t;
using cuda::std::uint16_t;
using cuda::std::uint32_t;
using cuda::std::uint64_t;
#ifndef INFINITY
#define INFINITY (::cuda::std::numeric_limits<float>::infinity())
#endif
"""


def lean(source: str) -> str:
    """`source` without the C++ library's headers."""
    kept: list[str] = []
    depth = 0  # of preprocessor blocks within one that is left out
    for line in source.splitlines():
        stripped = line.strip()
        if depth:
            depth += stripped.startswith("#if") - stripped.startswith("#endif")
        elif stripped in _LEFT_OUT:
            depth = 1
        elif stripped not in _HOST_HEADERS:
            kept.append(line)
    return PREAMBLE + _bounded("\n".join(kept))


def whole(source: str) -> str:
    """`source` with all that it includes: what a kernel needs that `lean` does not know."""
    lines = [line for line in source.splitlines() if line.strip() not in _HOST_HEADERS]
    return WHOLE_PREAMBLE + _bounded("\n".join(lines))


def _bounded(source: str) -> str:
    headers, kernel, rest = source.partition(_KERNEL)
    headers = headers.replace(fragments.INCLUDE, fragments.TEXT)
    return f"{headers}{BOUNDS}{kernel}{rest}\n"
