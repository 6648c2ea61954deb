"""Does a schedule compute what it should? Its kernel is compiled in memory and run beside that of the zero-trial
schedule, in a process with limits: no file is made, and what a kernel does to the process ends with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tvm

    from schedules.cpu.tiles import Hardware

CHUNK = 1 << 20  # elements that are compared at a time: outputs of a hundred megabytes must not become a gigabyte


def compute(module: str, trace: str | None, target: dict[str, Any], hardware: Hardware) -> float:
    """The largest difference of the outputs of two kernels of `module` (TVM's JSON of {"main": PrimFunc}) on random
    inputs, relative to the largest output: that of the schedule `trace`, and the zero-trial one; see `difference`.

    target: TVM's configuration. With None for `trace` the zero-trial kernel runs alone. Raises what TVM raises.
    """
    from tvm_ffi.serialization import from_json_graph_str

    from compiler.graph.scheduling import zero_trial
    from compiler.records.workload import replay
    from compiler.runtime.measure.arguments import random_array

    mod = from_json_graph_str(module)
    arguments = [(tuple(int(d) for d in p.shape), str(p.dtype)) for p in mod["main"].params]
    run = _compiled(zero_trial(mod, hardware).mod, target)
    for positive in (False, True):  # a root of negative numbers compares nothing
        random = np.random.default_rng(1)
        inputs = [random_array(random, *argument, positive=positive) for argument in arguments[:-1]]
        expected = _result(run, inputs, arguments[-1])
        if np.isfinite(expected).all():
            break
    if trace is None:
        return 0.0
    return difference(expected, _result(_compiled(replay(trace, mod).mod, target), inputs, arguments[-1]))


def difference(expected: np.ndarray, found: np.ndarray) -> float:
    """The largest difference relative to the largest output; inf where only one of them has a number."""
    largest, apart = 1e-30, 0.0
    a, b = expected.reshape(-1), found.reshape(-1)
    for first in range(0, a.size, CHUNK):
        one, other = (part[first : first + CHUNK].astype("float64") for part in (a, b))
        known = np.isfinite(one)
        if (np.isfinite(other) != known).any():
            return float("inf")
        largest = max(largest, float(np.abs(one[known]).max(initial=0.0)))
        apart = max(apart, float(np.abs(one[known] - other[known]).max(initial=0.0)))
    return apart / largest


def _compiled(mod: tvm.IRModule, target: dict[str, Any]) -> Any:
    """The function of a scheduled kernel; weights are packed at each call, so that all take the same arguments."""
    import tvm

    return tvm.compile(mod, target=tvm.target.Target(target))["main"]


def _result(run: Any, inputs: Sequence[np.ndarray], output: tuple[tuple[int, ...], str]) -> np.ndarray:
    import tvm

    made = tvm.runtime.tensor(np.zeros(*output))
    run(*[tvm.runtime.tensor(value) for value in inputs], made)
    return np.asarray(made.numpy())
