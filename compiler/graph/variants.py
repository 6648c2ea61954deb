"""The model lowered once per convolution algorithm, so that the algorithms can be tuned and compared layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import tvm
from tvm import relax, tirx

from .algorithms import Algorithm, Convolution, candidates, choose
from .filling import Fill, unfilled
from .pipeline import Lowered, Phase, lower
from .scheduling import as_task, schedulable


@dataclass
class Task:
    """One kernel to tune. `calls` is how often the model runs it if every layer uses the algorithm that it is of."""

    name: str
    mod: tvm.IRModule
    hash: str
    calls: int = 0


@dataclass
class Layer:
    """One call of the model: its kernel under each algorithm (only `direct` where there is no choice)."""

    conv: int | None
    tasks: dict[Algorithm, str] = field(default_factory=dict)


@dataclass
class Variants:
    """All tasks of a model by workload hash, and its layers."""

    tasks: dict[str, Task]
    layers: list[Layer]
    convolutions: list[Convolution]

    def algorithm(self, conv: int, seconds: dict[str, float]) -> Algorithm:
        """The algorithm for convolution `conv`, given measured `seconds` by workload hash.

        Two measured algorithms or more: the fastest of them. Else the estimate's choice, unless only another is
        measured.
        """
        estimated = choose(self.convolutions[conv])
        layer = next((entry for entry in self.layers if entry.conv == conv), None)
        if layer is None:
            return estimated
        measured = {a: seconds[h] for a, h in layer.tasks.items() if h in seconds}
        if len(measured) >= 2:
            return min(measured, key=lambda a: measured[a])
        if measured and estimated not in measured:
            return next(iter(measured))
        return estimated

    def latency(self, seconds: dict[str, float]) -> float | None:
        """The sum over layers of the fastest measured kernel, in seconds; None while a layer has none."""
        total = 0.0
        for layer in self.layers:
            measured = [seconds[h] for h in layer.tasks.values() if h in seconds]
            if not measured:
                return None
            total += min(measured)
        return total


def expand(
    mod: tvm.IRModule,
    storage: str,
    fill: Fill = unfilled,
    dump: Phase | None = None,
    lower: Callable[..., Lowered] = lower,
    algorithms: Sequence[Algorithm] = tuple(Algorithm),
) -> Variants:
    """Lower `mod`, from `lay_out`, with each of `algorithms`, the direct one first, wherever it applies.

    The other arguments are those of `pipeline.lower`, which is the usual `lower`.
    """
    from compiler.records.workload import workload_of

    tasks: dict[str, Task] = {}
    layers: list[Layer] = []
    convolutions: list[Convolution] = []
    for algorithm in algorithms:
        if algorithm is not Algorithm.DIRECT and not any(algorithm in candidates(c) for c in convolutions):
            continue
        chooser = partial(_wherever_it_applies, algorithm)
        lowered = lower(mod, storage, chooser, dump and _labelled(dump, f"{algorithm.value}-{storage}"), fill)
        if algorithm is not Algorithm.DIRECT and all(a is Algorithm.DIRECT for a in lowered.algorithms):
            continue
        convolutions = lowered.convolutions
        hashes: dict[str, str] = {}
        for position, (gvar, conv) in enumerate(calls(lowered)):
            if gvar not in hashes:
                task = as_task(lowered.mod[gvar])
                hashes[gvar] = workload_of(task, gvar).hash
                tasks.setdefault(hashes[gvar], Task(gvar, task, hashes[gvar]))
            if algorithm is Algorithm.DIRECT:
                layers.append(Layer(conv))
            layer = layers[position]
            if algorithm is Algorithm.DIRECT or (conv is not None and lowered.algorithms[conv] is algorithm):
                layer.tasks[algorithm] = hashes[gvar]
    for layer in layers:
        for digest in set(layer.tasks.values()):
            tasks[digest].calls += 1
    used = {digest for layer in layers for digest in layer.tasks.values()}
    return Variants({h: t for h, t in tasks.items() if h in used}, layers, convolutions)


def _wherever_it_applies(algorithm: Algorithm, _: int, conv: Convolution) -> Algorithm:
    return algorithm if algorithm in candidates(conv) else Algorithm.DIRECT


def _labelled(dump: Phase, label: str) -> Phase:
    """`dump` for one of several lowerings of a model: phases are called `label`-phase."""
    return lambda mod, phase: dump(mod, f"{label}-{phase}")


def calls(lowered: Lowered) -> list[tuple[str, int | None]]:
    """Each call in `main` of a kernel that can be scheduled, in order: the function's name and which convolution it
    holds (by its weight).
    """
    weights = {id_of(weight): index for index, weight in enumerate(lowered.weights) if weight is not None}
    found: list[tuple[str, int | None]] = []
    call_tir = tvm.ir.Op.get("relax.call_tir")
    for block in lowered.mod["main"].body.blocks:
        for binding in block.bindings:
            value = binding.value
            if not isinstance(value, relax.Call) or value.op != call_tir:
                continue
            func = lowered.mod[value.args[0]]
            if not isinstance(func, tirx.PrimFunc) or not schedulable(func):
                continue
            conv = next((weights[id_of(a)] for a in value.args[1].fields if id_of(a) in weights), None)
            found.append((str(value.args[0].name_hint), conv))
    return found


def id_of(expr: relax.Expr) -> int:
    """Identity of a TVM object: equal for two Python handles of one object."""
    return int(expr.id_)


__all__ = ["Layer", "Task", "Variants", "calls", "expand"]
