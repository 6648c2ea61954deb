"""A model laid out so that its activations are FP16 between kernels: for GPUs, and CPUs that calculate in FP16."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tvm

    from compiler.frontend import Model
    from compiler.graph.pipeline import Dump


def half_front(
    model: Model, io_precision: str = "fp32", dump: Path | None = None
) -> tuple[tvm.IRModule, Dump | None, dict[str, float]]:
    """`model` laid out, the function that dumps later phases, and the tensors that FP16 cannot hold, which stay FP32,
    with the largest magnitude seen of each.

    Raises EdgetuneError for a model that cannot be imported, or not be computed by ONNX Runtime.
    """
    from compiler.build import front
    from compiler.frontend.overflow import marked
    from compiler.graph.passes.half_activations import half_activations
    from compiler.graph.passes.identifiers import identifiers

    kept_fp32 = _too_large(model)
    laid_out, dumper = front(marked(model, list(kept_fp32)), io_precision, dump)
    laid_out = half_activations(identifiers(laid_out))
    if dumper:
        dumper(laid_out, "half activations")
    return laid_out, dumper, kept_fp32


def _too_large(model: Model) -> dict[str, float]:
    from compiler.bench.probes import probe_inputs
    from compiler.frontend.overflow import SAMPLES, few_images, overflowing

    few = few_images(model)
    return overflowing(few, probe_inputs(few.inputs, SAMPLES))
