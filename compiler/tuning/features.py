"""What the cost model sees of a candidate: numbers read from its trace as data, and the sizes of its kernel.

The schedules of a family cut the same loops in the same order, whatever the kernel's sizes. So the factors of all cuts,
one after the other, mean the same for each kernel of a family, and what was learned of one says something about the
next. TVM is not asked: neither a kernel nor a trace is loaded, and reading one takes a fraction of a millisecond.
"""

from __future__ import annotations

import json
import math
from typing import Any

from compiler.records.nearest.kernels import AXES, Kernel

MAX_TRACE_CHARS = 1 << 20
FACTORS = 40
"""How many factors of a trace are seen: the CPU's families have up to 20, those of GPUs up to 36."""
EXTENTS = max(map(len, AXES.values()))
SIZE = 2 + EXTENTS + 1 + FACTORS
_KINDS = {kind: float(number) for number, kind in enumerate(AXES)}
_NONE = -2.0

Features = tuple[float, ...]


def sizes(kernel: Kernel | None) -> Features:
    """The first features of every candidate of `kernel`: its kind, storage and extents, as powers of two. None is for a
    kernel of no kind, of which only its own candidates say something."""
    if kernel is None:
        return (-1.0, 0.0) + (_NONE,) * EXTENTS
    extents = tuple(math.log2(extent) for extent in kernel.extents)
    return (_KINDS[kernel.kind], float(kernel.narrow), *extents) + (_NONE,) * (EXTENTS - len(extents))


def factors(trace: str) -> Features | None:
    """The other features of a candidate: by how much each loop is cut, as powers of two, in the trace's order, and how
    many cuts there are. None for what is no trace."""
    if len(trace) > MAX_TRACE_CHARS:
        return None
    try:
        instructions, decisions = json.loads(trace)
        return factors_of(instructions, {int(number): value for number, value in decisions})
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None


def factors_of(instructions: list[Any], decisions: dict[int, Any]) -> Features:
    """As `factors`, of a trace's parts. Raises ValueError, TypeError, KeyError or IndexError for what is no trace."""
    chosen: dict[str, float] = {}  # what a sample gives, by the name of the variable
    found: list[float] = []
    for number, (name, inputs, attributes, outputs) in enumerate(instructions):
        if name == "EnterPostproc":
            break
        if name == "SamplePerfectTile":
            chosen |= {out: _log2(factor) for out, factor in zip(outputs, decisions[number], strict=True)}
        elif name == "SampleCategorical":
            chosen[outputs[0]] = _log2(attributes[0][int(decisions[number])] + 1)
            found.append(chosen[outputs[0]])
        elif name == "Split":
            given = [factor for factor in inputs[1:] if factor not in (None, "None")]  # None: what is left
            found += [chosen[factor] if isinstance(factor, str) else _log2(factor) for factor in given]
    return (float(len(found)), *found[:FACTORS]) + (_NONE,) * (FACTORS - len(found))


def _log2(value: Any) -> float:
    if not 0 < value < 1 << 40:
        raise ValueError("a factor that no loop has")
    return math.log2(value)
