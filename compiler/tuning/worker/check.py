"""Checking a candidate: does a tuned kernel compute what a plainly scheduled one computes?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from compiler.cuda.runtime import load_to_run
from compiler.parallel.threads import end_library_threads, set_library_threads
from compiler.runtime.measure.arguments import random_array

Arguments = Sequence[tuple[tuple[int, ...], str]]
Kernel = Callable[[list[np.ndarray]], np.ndarray]
"""Computes the output from the inputs, as float64."""


def check(candidate: str, reference: str, arguments: Arguments, cpus: Sequence[int] = (), device: str = "cpu") -> float:
    """Largest difference of the outputs of two libraries' `main`: see `compare`.

    Both take `arguments` (shape and dtype of each parameter, the output last), weights in the model's own layout.
    One thread computes on each of `cpus`. `device` is TVM's name of where they run.
    """
    return compare(
        lambda inputs: _run(candidate, inputs, arguments[-1], cpus, device),
        lambda inputs: _run(reference, inputs, arguments[-1], cpus, device),
        arguments,
    )


def compare(candidate: Kernel, reference: Kernel, arguments: Arguments) -> float:
    """Largest difference of two kernels' outputs, relative to the largest output; inf where one has a number and the
    other a NaN."""
    for positive in (False, True):  # a root of negative numbers compares nothing
        random = np.random.default_rng(1)
        inputs = [random_array(random, *argument, positive=positive) for argument in arguments[:-1]]
        expected = reference(inputs)
        if np.isfinite(expected).all():
            break
    found = candidate(inputs)
    known = np.isfinite(expected)
    if (np.isfinite(found) != known).any():
        return float("inf")
    largest = max(np.abs(expected[known]).max(initial=0.0), 1e-30)
    return float(np.abs(found[known] - expected[known]).max(initial=0.0) / largest)


def _run(
    library: str, inputs: list[np.ndarray], output: tuple[tuple[int, ...], str], cpus: Sequence[int], device: str
) -> np.ndarray:
    import tvm

    if device == "cuda":
        load_to_run()
    module = tvm.runtime.load_module(library)
    if cpus:
        set_library_threads(module, len(cpus), cpus)
    place = tvm.device(device)
    made = tvm.runtime.tensor(np.zeros(*output), device=place)
    try:
        module["main"](*[tvm.runtime.tensor(value, device=place) for value in inputs], made)
    finally:
        end_library_threads(module)
    return made.numpy().astype("float64")
