"""What this machine can do at most, measured: multiply-adds a second in registers, bytes a second from memory.

Both kernels are compiled by TVM for `native` and run with the same number of threads as the model: independent chains
of fused multiply-adds that never leave the registers (FP32), and a sum over a buffer far larger than the last cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import targets
from compiler.errors import EdgetuneError
from compiler.runtime.threads import ComputeThread
from compiler.runtime.timing import time_invocations

CHAINS = 12
"""More chains than a core has multiply-adds in flight (4 cycles x 2 units), fewer than it has registers."""

STREAMS = 4
STEPS = 1 << 19
MIN_BUFFER_BYTES = 256 << 20
SECONDS = 0.5


@dataclass(frozen=True)
class Peak:
    """`gflops`: 10^9 operations a second (a multiply-add is two), in FP32 but where `how`, a line, says otherwise;
    `gb_s`: 10^9 bytes a second; `threads`: of a CPU, 0 of a GPU."""

    gflops: float
    gb_s: float
    threads: int
    how: str


@lru_cache(maxsize=8)
def measure_peak(threads: int) -> Peak:
    """The peak of this machine's CPU with `threads` threads; takes a few seconds, once per process and thread count.

    Raises EdgetuneError where this machine's CPU has no target or cannot be compiled for.
    """
    try:
        target = targets.get("native")
    except targets.TargetError as error:
        raise EdgetuneError(f"the peak of this machine cannot be measured: {error}") from None
    lanes = lanes_of(target)
    compute = ComputeThread(threads)
    try:
        flops = compute.call(_arithmetic, target, threads, lanes)
        buffer_bytes = _buffer_bytes(target)
        bandwidth = compute.call(_bandwidth, target, threads, lanes, buffer_bytes)
    finally:
        compute.close()
    return Peak(flops / 1e9, bandwidth / 1e9, threads, how(threads, target.name, lanes, buffer_bytes))


def lanes_of(target: targets.Target) -> int:
    """Floats of a vector register."""
    return max(1, (target.hardware.vector_bits or 128) // 32)


def operations(threads: int, lanes: int) -> float:
    """FP32 operations of one call of the kernel of multiply-adds."""
    return 2.0 * threads * CHAINS * lanes * STEPS


def reading_steps(buffer_bytes: int, threads: int, lanes: int) -> int:
    """Steps of each stream of the kernel that reads about `buffer_bytes`."""
    return max(1, buffer_bytes // 4 // (threads * STREAMS * 2 * lanes))


def floats(threads: int, lanes: int, steps: int) -> int:
    """How many floats that kernel reads in so many steps."""
    return steps * threads * STREAMS * 2 * lanes


def wanted_buffer_bytes(target: targets.Target) -> int:
    """Four times the last cache, so that little of a pass stays in it."""
    return max(MIN_BUFFER_BYTES, 4 * (target.hardware.l3_bytes or 0))


def how(threads: int, name: str, lanes: int, buffer_bytes: int) -> str:
    """How the peak was measured, in a line."""
    return (
        f"{threads} threads, {name}, shortest run in {SECONDS} s each: "
        f"{CHAINS} chains of {lanes * 32}-bit FP32 multiply-adds; "
        f"a read of {buffer_bytes >> 20} MiB in {STREAMS} streams a thread"
    )


def _buffer_bytes(target: targets.Target) -> int:
    """At most a quarter of the free memory."""
    import psutil

    return min(wanted_buffer_bytes(target), psutil.virtual_memory().available // 4)


def _arithmetic(target: targets.Target, threads: int, lanes: int) -> float:
    """FP32 operations per second."""
    import numpy as np
    import tvm

    from compiler.bench.peak_kernels import multiply_adds

    kernel = _compile(multiply_adds(threads, lanes, CHAINS, STEPS), target)
    # a fixed point of a * 0.5 + 0.5: no denormals, no infinities
    factors = tvm.runtime.tensor(np.full(2 * lanes, 0.5, "float32"))
    sums = tvm.runtime.tensor(np.zeros(threads * CHAINS * lanes, "float32"))
    return operations(threads, lanes) / _best(lambda: kernel(factors, sums))


def _bandwidth(target: targets.Target, threads: int, lanes: int, buffer_bytes: int) -> float:
    """Bytes per second."""
    import numpy as np
    import tvm

    from compiler.bench.peak_kernels import reads

    steps = reading_steps(buffer_bytes, threads, lanes)
    count = floats(threads, lanes, steps)
    kernel = _compile(reads(threads, lanes, STREAMS, steps), target)
    data = tvm.runtime.empty((count,), "float32")
    # written, not only allocated: untouched pages are all the same one of zeros
    data.copyfrom(np.ones(count, "float32"))
    sums = tvm.runtime.tensor(np.zeros(threads * STREAMS * 2 * lanes, "float32"))
    return 4.0 * count / _best(lambda: kernel(data, sums))


def _best(call: Callable[[], object]) -> float:
    # The shortest of many: what others take from the machine meanwhile can only lengthen a run.
    return min(time_invocations(call, runs=5, seconds=SECONDS, warmup_runs=1).seconds)


def _compile(kernel: Any, target: targets.Target) -> Any:
    import tvm

    return tvm.compile(tvm.IRModule({"main": kernel}), target=target.to_tvm())["main"]
