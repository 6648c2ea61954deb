"""From an imported model to fused kernels, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tvm
from tvm import relax

from .algorithms import Algorithm, Convolution
from .filling import Fill, unfilled
from .passes.batch_norm import batch_norm
from .passes.bounded_indices import bounded_indices
from .passes.channels_last import channels_last
from .passes.clip import clip
from .passes.concat_slices import concat_slices
from .passes.flat_matmul import flat_matmul
from .passes.fold_views import fold_views
from .passes.grouped_conv import grouped_conv
from .passes.layout_free import layout_free
from .passes.legalize import Choose, Legalizer
from .passes.lrn import lrn
from .passes.opaque_blocks import opaque_blocks

Phase = Callable[[tvm.IRModule, str], None]
"""What is told the IR after each phase, and the phase's name: a `Dump`, or a function that renames them."""


@dataclass
class Lowered:
    """Fused, unscheduled kernels and the calls between them, and what was chosen on the way."""

    mod: tvm.IRModule
    convolutions: list[Convolution]
    algorithms: list[Algorithm]
    weights: list[relax.Expr | None]
    kept_wide: list[str]


def lay_out(mod: tvm.IRModule, dump: Phase | None = None) -> tvm.IRModule:
    """Phase 1, on operators: simplify, and lay tensors out as kernels want them."""
    if dump:
        dump(mod, "imported")
    mod = fold_views(mod)
    mod = batch_norm(mod)
    mod = relax.transform.DecomposeOpsForInference()(mod)
    mod = relax.transform.CanonicalizeBindings()(mod)
    mod = fold_views(mod)
    mod = bounded_indices(mod)
    mod = clip(mod)
    mod = lrn(mod)
    mod = flat_matmul(mod)
    mod = channels_last(mod)
    mod = relax.transform.EliminateCommonSubexpr()(mod)
    if dump:
        dump(mod, "layout")
    return mod


def lower(
    mod: tvm.IRModule,
    storage: str,
    chooser: Choose | None = None,
    dump: Phase | None = None,
    fill: Fill = unfilled,
    only_marked: bool = False,
    sums_in_parts: bool = True,
    tf32: bool = False,
) -> Lowered:
    """Phase 2: operators become kernels, kernels are fused. `mod`, from `lay_out`, may be lowered several times.

    `storage` is what weights are kept as, `fill` how many channels fill the vectors of the target. `only_marked`:
    weights of other operators than `half_activations` marked stay float32. `sums_in_parts`: long sums are made in two
    steps, which rounds less; on a GPU many threads do that anyway. `tf32`: the factors of matrix products may be
    rounded to TF32.
    """
    legalizer = Legalizer(storage, chooser, fill, only_marked, sums_in_parts, tf32)
    with tvm.target.Target("llvm"):  # sorting and scanning have no kernel but those of a kind of target
        mod = relax.backend.DispatchSortScan()(mod)
    mod = grouped_conv(mod, fill, legalizer.weight, legalizer.factors)
    mod = legalizer.run(mod)
    if dump:
        dump(mod, "legalized")
    mod = relax.transform.AnnotateTIROpPattern()(mod)
    mod = relax.transform.FuseOps()(mod)
    mod = relax.transform.FuseTIR()(mod)
    mod = relax.transform.RewriteDataflowReshape()(mod)
    mod = relax.transform.DeadCodeElimination(["main"])(mod)
    mod = opaque_blocks(mod)
    mod = concat_slices(mod)
    mod = layout_free(mod)
    if dump:
        dump(mod, "fused")
    return Lowered(mod, legalizer.convolutions, legalizer.algorithms, legalizer.weights, legalizer.kept_wide)


class Dump:
    """Writes the IR after each phase to a folder, numbered, constants left out."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.count = 0

    def __call__(self, mod: tvm.IRModule, phase: str) -> None:
        path = self.folder / f"{self.count:02d}-{phase}.py"
        path.write_text(mod.script(show_meta=False) + "\n")
        self.count += 1
