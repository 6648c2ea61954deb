"""What a board can do at most, measured there by the kernels that measure this machine (`compiler.bench.peak`).

They are built at the desk for the board's own CPU, in one small library with a pool of threads, as its packages are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import targets
from compiler.bench import peak
from compiler.errors import EdgetuneError
from compiler.runtime.rpc.identity import board_target
from compiler.scratch import scratch_folder

if TYPE_CHECKING:
    from compiler.runtime.rpc.session import RemoteSession

_LIBRARY = "peak.so"
_LEAST_RUNS = 5
_KEPT: dict[tuple[str, int], peak.Peak] = {}
"""Measured once per process, board and thread count."""


def measure_board_peak(session: RemoteSession, threads: int) -> peak.Peak:
    """The peak of the board's CPU with `threads` threads, in a session on it.

    Raises EdgetuneError where its CPU has no target, code for it cannot be linked here, or the board fails.
    """
    known = (str(session.connection.address), threads)
    if known not in _KEPT:
        _KEPT[known] = _measure(session, threads)
    return _KEPT[known]


def _measure(session: RemoteSession, threads: int) -> peak.Peak:
    from compiler.parallel.threads import end_library_threads, set_library_threads
    from compiler.runtime.outputs import in_one_line

    identity = session.identity
    try:
        target = board_target(identity, threads=threads)
    except targets.TargetError as error:
        raise EdgetuneError(f"the board's CPU is not known: {error}") from None
    lanes = peak.lanes_of(target)
    steps = _steps(target, identity.memory_bytes, threads, lanes)
    with scratch_folder("peak") as folder:
        library = folder / _LIBRARY
        _build(target, threads, lanes, steps, library)
        session.send(library, _LIBRARY)

    def measure() -> peak.Peak:
        remote = session.connection.remote
        module = remote.load_module(_LIBRARY)
        set_library_threads(module, threads)
        try:
            device = remote.cpu()
            flops = peak.operations(threads, lanes) / _arithmetic(module, device, threads, lanes)
            bandwidth = 4.0 * peak.floats(threads, lanes, steps) / _reading(module, device, threads, lanes, steps)
        finally:
            end_library_threads(module)
        how = peak.how(threads, target.name, lanes, 4 * peak.floats(threads, lanes, steps))
        return peak.Peak(flops / 1e9, bandwidth / 1e9, threads, f"on the board: {how}")

    found: peak.Peak = in_one_line("measure the peak of the board with", measure)
    return found


def _steps(target: targets.Target, memory_bytes: int | None, threads: int, lanes: int) -> int:
    """How many vectors of each stream are read: a buffer as large as at the desk, or an eighth of a small memory."""
    wanted = peak.wanted_buffer_bytes(target)
    if memory_bytes is not None:
        wanted = min(wanted, memory_bytes // 8)
    return peak.reading_steps(wanted, threads, lanes)


def _build(target: targets.Target, threads: int, lanes: int, steps: int, library: Path) -> None:
    import tvm

    from compiler.bench.peak_kernels import filled, multiply_adds, reads
    from compiler.linker import export, linker
    from compiler.parallel.extent import announce_extents

    kernels = {
        "arithmetic": multiply_adds(threads, lanes, peak.CHAINS, peak.STEPS),
        "reading": reads(threads, lanes, peak.STREAMS, steps),
        "filling": filled(threads, peak.floats(threads, lanes, steps) // threads),
    }
    module = tvm.IRModule({name: kernel.with_attr("global_symbol", name) for name, kernel in kernels.items()})
    compiled = tvm.compile(announce_extents(module), target=target.to_tvm())
    export(compiled, library, linker(str(target.options.get("mtriple", "")) or None))


def _arithmetic(module: Any, device: Any, threads: int, lanes: int) -> float:
    import numpy as np
    import tvm

    # a fixed point of a * 0.5 + 0.5: no denormals, no infinities
    factors = tvm.runtime.tensor(np.full(2 * lanes, 0.5, "float32"), device)
    sums = tvm.runtime.empty((threads * peak.CHAINS * lanes,), "float32", device)
    return _shortest(module, "arithmetic", device, factors, sums)


def _reading(module: Any, device: Any, threads: int, lanes: int, steps: int) -> float:
    import tvm

    data = tvm.runtime.empty((peak.floats(threads, lanes, steps),), "float32", device)
    # written there, not sent, and not only allocated: untouched pages are all the same one of zeros
    module["filling"](data)
    sums = tvm.runtime.empty((threads * peak.STREAMS * 2 * lanes,), "float32", device)
    return _shortest(module, "reading", device, data, sums)


def _shortest(module: Any, name: str, device: Any, *arguments: Any) -> float:
    """Seconds of the shortest of many runs, by the board's clock (see `peak`)."""
    first = min(module.time_evaluator(name, device, number=1, repeat=2)(*arguments).results)
    count = max(_LEAST_RUNS, int(peak.SECONDS / max(first, 1e-6)))
    return float(min(first, *module.time_evaluator(name, device, number=1, repeat=count)(*arguments).results))
