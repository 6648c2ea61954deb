"""What a GPU can do at most, measured where the package runs, by the GPU's own clock: multiply-adds a second in
registers, of the kind that kernels of its precision use, and bytes a second from memory.

The kernels are built at the desk for the GPU of the package's target, in one small library.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import targets
from compiler.bench.peak import MIN_BUFFER_BYTES, SECONDS, Peak
from compiler.errors import EdgetuneError
from compiler.runtime.session import LocalSession
from compiler.scratch import scratch_folder

if TYPE_CHECKING:
    from compiler.bench.gpu_peak_kernels import Arithmetic
    from compiler.runtime.rpc.session import RemoteSession

_LIBRARY = "gpu-peak.so"
_BLOCKS = 4  # of each multiprocessor
_CALL_SECONDS = 0.002  # of the shortest call that is measured: what a launch takes is lost in it
_LEAST_RUNS = 3
_MOST_STEPS = 1 << 24
_KEPT: dict[tuple[str, str, str], Peak] = {}
"""Measured once per process, place, target and precision."""


def measure_gpu_peak(session: LocalSession | RemoteSession, name: str, precision: str) -> Peak:
    """The peak of the GPU that `session` is on for packages of the target `name` in `precision`, such as `fp32`.

    Raises EdgetuneError where it cannot be compiled for, or the GPU fails.
    """
    place = "" if isinstance(session, LocalSession) else str(session.connection.address)
    known = (place, name, precision)
    if known not in _KEPT:
        try:
            target = targets.get(name)
        except targets.TargetError as error:
            raise EdgetuneError(f"the GPU's target is not known here: {error}") from None
        missing = targets.why_not_compile(target)
        if missing is not None:
            raise EdgetuneError(missing)
        _KEPT[known] = _measure(session, target, precision)
    return _KEPT[known]


def _measure(session: LocalSession | RemoteSession, target: targets.Target, precision: str) -> Peak:
    from compiler.bench import gpu_peak_kernels as kernels
    from compiler.runtime.outputs import in_one_line

    kernel = kernel_of(str(target.options["arch"]), precision)
    blocks = _BLOCKS * (target.hardware.sm_count or 1)
    floats = _floats(session, target, kernels.floats_of_step(blocks))

    def measure(module: Any, device: Any) -> Peak:
        flops = _arithmetic(module, device, kernel, blocks)
        bandwidth = _reading(module, device, blocks, floats)
        how = f"{kernel.what} on {blocks} blocks; a read of {floats >> 18} MiB; shortest run in {SECONDS} s each"
        return Peak(flops / 1e9, bandwidth / 1e9, 0, how)

    with scratch_folder("peak") as folder:
        library = folder / _LIBRARY
        build(target, kernel, blocks, floats, library)
        if isinstance(session, LocalSession):
            import tvm

            loaded: Peak = in_one_line(
                "measure the GPU's peak with",
                lambda: measure(tvm.runtime.load_module(str(library)), tvm.device("cuda")),
            )
            return loaded
        session.send(library, _LIBRARY)
    remote = session.connection.remote
    found: Peak = in_one_line(
        "measure the peak of the board's GPU with", lambda: measure(remote.load_module(_LIBRARY), remote.device("cuda"))
    )
    return replace(found, how=f"on the board: {found.how}")


def kernel_of(arch: str, precision: str) -> Arithmetic:
    """What kernels in `precision` multiply with at best on `arch`: FP32 units, tensor cores, or pairs of FP16."""
    from compiler.bench import gpu_peak_kernels as kernels
    from schedules.cuda.factors import TF32
    from schedules.cuda.gpu import gpu
    from targets.cuda_toolkit import sm

    known = gpu(sm(arch), sms=1)
    if precision == "fp16" and known.tensor_fma:
        return kernels.tensor()
    if precision == "tf32" and known.rate(TF32):
        return kernels.tensor_tf32()
    if precision == "fp16" and known.half_pairs:
        return kernels.pairs()
    return kernels.single()


def _floats(session: LocalSession | RemoteSession, target: targets.Target, of_step: int) -> int:
    """How many floats are read: four times the second-level cache, or an eighth of a small board's memory."""
    wanted = max(MIN_BUFFER_BYTES, 4 * (target.hardware.l2_bytes or 0))
    if not isinstance(session, LocalSession) and session.identity.memory_bytes is not None:
        wanted = min(wanted, session.identity.memory_bytes // 8)
    return max(1, wanted // 4 // of_step) * of_step


def build(target: targets.Target, kernel: Arithmetic, blocks: int, floats: int, library: Path) -> None:
    """Make `library` with `arithmetic`, which is `kernel`, and `reading` of so many `floats`, each on `blocks`."""
    import tvm

    from compiler.bench import gpu_peak_kernels as kernels
    from compiler.cuda import callback
    from compiler.cuda.lowering import lowering
    from compiler.linker import export, linker

    functions = {"arithmetic": kernels.arithmetic(kernel, blocks), "reading": kernels.reads(blocks, floats)}
    module = tvm.IRModule({name: function.with_attr("global_symbol", name) for name, function in functions.items()})
    device = target.to_tvm()
    callback.register()
    with device, lowering(device):
        compiled = tvm.compile(module, target=device)
    triple = str((target.host or {}).get("mtriple", "")) or None
    export(compiled, library, linker(triple))


def _arithmetic(module: Any, device: Any, kernel: Arithmetic, blocks: int) -> float:
    """Operations a second."""
    import numpy as np
    import tvm

    from compiler.bench.gpu_peak_kernels import THREADS

    # Between 0 and 1: chains of multiply-adds come to rest at 1, sums of products grow too slowly to overflow. Zeros
    # would take less power, and a GPU that saves power is faster.
    random = np.random.default_rng(0).uniform(0.25, 0.75, kernel.factors)
    factors = tvm.runtime.tensor((random if kernel.factors > 2 else np.full(2, 0.5)).astype(kernel.dtype), device)
    sums = tvm.runtime.empty((blocks * THREADS,), "float32", device)
    steps = 1
    while (seconds := _seconds(module, "arithmetic", device, 1, factors, sums, steps)) < _CALL_SECONDS:
        if steps >= _MOST_STEPS:
            raise EdgetuneError("the GPU's clock stands still")
        steps *= int(min(16, max(2, 1.2 * _CALL_SECONDS / max(seconds, 1e-9))))
    count = max(_LEAST_RUNS, int(SECONDS / seconds))
    return kernel.operations * blocks * steps / _seconds(module, "arithmetic", device, count, factors, sums, steps)


def _reading(module: Any, device: Any, blocks: int, floats: int) -> float:
    """Bytes a second."""
    import tvm

    from compiler.bench.gpu_peak_kernels import THREADS, floats_of_step

    data = tvm.runtime.empty((floats,), "float32", device)
    sums = tvm.runtime.empty((blocks * THREADS,), "float32", device)
    steps = floats // floats_of_step(blocks)
    first = _seconds(module, "reading", device, 1, data, sums, steps)
    count = max(_LEAST_RUNS, int(SECONDS / max(first, 1e-6)))
    return 4.0 * floats / min(first, _seconds(module, "reading", device, count, data, sums, steps))


def _seconds(module: Any, name: str, device: Any, count: int, *arguments: Any) -> float:
    """Of the shortest of `count` calls, by the GPU's own clock."""
    return float(min(module.time_evaluator(name, device, number=1, repeat=count)(*arguments).results))
