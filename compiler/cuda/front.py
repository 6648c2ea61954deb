"""A model lowered for GPUs: the same kernels for all of them, so that compiling for several lowers it once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.build import front
from compiler.cuda.algorithms import chooser
from compiler.half_front import half_front
from compiler.precision import TF32, storage_of

if TYPE_CHECKING:
    import tvm

    from compiler.frontend import Model
    from compiler.graph.filling import Fill
    from compiler.graph.passes.legalize import Choose
    from compiler.graph.pipeline import Dump, Lowered, Phase
    from compiler.graph.variants import Variants

HALF = "float16"


@dataclass(frozen=True)
class LoweredForGpus:
    """Kernels and the calls between them, before any is scheduled.

    `kept_fp32` maps a tensor of the cleaned graph that FP16 cannot hold to the largest magnitude seen; kernels that
    read it compute with FP32 factors.
    """

    lowered: Lowered
    kept_fp32: dict[str, float]
    dumper: Dump | None = None


def lower_for_gpus(
    model: Model, precision: str = "fp32", io_precision: str = "fp32", dump: Path | None = None
) -> LoweredForGpus:
    """`model` as the kernels of a GPU. In FP16 activations are kept in FP16, too, but for tensors that it cannot hold.
    In TF32 all is FP32 but the factors of matrix products, on GPUs that multiply them.

    Raises EdgetuneError for a model that cannot be imported or, in FP16, not be computed by ONNX Runtime.
    """
    storage = storage_of(precision)
    laid_out, dumper, kept_fp32 = front_for_gpus(model, precision, io_precision, dump)
    lowered = lower_kernels(laid_out, storage, dump=dumper, tf32=precision == TF32)
    return LoweredForGpus(lowered, kept_fp32, dumper)


def expand_for_gpus(model: Model, precision: str, dump: Path | None = None) -> Variants:
    """`model` taken apart into layers and kernels to tune, the same that `lower_for_gpus` gives."""
    from compiler.graph import variants
    from compiler.graph.algorithms import Algorithm

    laid_out, dumper, _ = front_for_gpus(model, precision, "fp32", dump)
    lower = partial(lower_kernels, tf32=precision == TF32)
    return variants.expand(laid_out, storage_of(precision), dump=dumper, lower=lower, algorithms=(Algorithm.DIRECT,))


def lower_kernels(
    laid_out: tvm.IRModule,
    storage: str,
    _: Choose | None = None,
    dump: Phase | None = None,
    fill: Fill | None = None,
    tf32: bool = False,
) -> Lowered:
    """`graph.pipeline.lower` as GPUs want it: algorithms are theirs, whatever is asked for, and nothing is filled:
    threads leave out what there is too much of."""
    from compiler.graph import pipeline

    choose = chooser(storage, tf32)
    return pipeline.lower(laid_out, storage, choose, dump, only_marked=storage == HALF, sums_in_parts=False, tf32=tf32)


def front_for_gpus(
    model: Model, precision: str, io_precision: str = "fp32", dump: Path | None = None
) -> tuple[tvm.IRModule, Dump | None, dict[str, float]]:
    """The model laid out for kernels of a GPU, the function that dumps later phases, and `kept_fp32`."""
    if storage_of(precision) == HALF:
        return half_front(model, io_precision, dump)
    from compiler.graph.passes.identifiers import identifiers

    laid_out, dumper = front(model, io_precision, dump)
    return identifiers(laid_out), dumper, {}
