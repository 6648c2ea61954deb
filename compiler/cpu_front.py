"""A model laid out for kernels of a CPU, in whatever that calculates in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from compiler.build import front
from compiler.half_front import half_front
from compiler.precision import storage_of

if TYPE_CHECKING:
    import tvm

    import targets
    from compiler.frontend import Model
    from compiler.graph.pipeline import Dump


def front_for_cpus(
    model: Model, target: targets.Target, precision: str, io_precision: str = "fp32", dump: Path | None = None
) -> tuple[tvm.IRModule, Dump | None, dict[str, float]]:
    """The model laid out for kernels of `target`, the function that dumps later phases, and `kept_fp32`.

    In FP16, where the CPU calculates in that, activations are FP16 between kernels but for the tensors of `kept_fp32`,
    which it cannot hold; elsewhere FP16 is what weights are stored in, and nothing else. Raises EdgetuneError for a
    model that cannot be imported.
    """
    if storage_of(precision) == "float16" and target.hardware.fp16_arithmetic:
        return half_front(model, io_precision, dump)
    return *front(model, io_precision, dump), {}
