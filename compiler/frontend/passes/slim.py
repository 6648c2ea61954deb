"""onnxslim: shape arithmetic folded, BatchNorm and additions folded into convolutions, duplicate nodes and paired
transposes gone.

Of its fusion patterns only those are used that pay for TVM and that are right on every graph (as far as reading and
testing them shows): others take a factor along the width for one per channel, or forget the axes of a Pad. Requires:
static shapes. Ensures: the same inputs and outputs; the graph is as it was where onnxslim fails on it.
"""

from __future__ import annotations

import logging

import onnx

from compiler.frontend.passes.fold_constants import MAX_FOLDED_BYTES
from compiler.frontend.quiet import one_line, quiet

log = logging.getLogger(__name__)

PATTERNS = ("FusionConvBN", "FusionConvTransposeBN", "FusionConvAdd", "FusionConvTransposeAdd", "EliminationTranspose")


def slim(model: onnx.ModelProto) -> onnx.ModelProto:
    """A slimmed model; `model` itself may be changed on the way (onnxslim works on what it is given) unless it is
    returned.
    """
    interface = onnx.GraphProto()
    interface.input.MergeFrom(model.graph.input)
    interface.output.MergeFrom(model.graph.output)
    try:
        with quiet():
            import onnxslim
            from onnxslim.core.pattern.registry import DEFAULT_FUSION_PATTERNS

            skipped = [name for name in DEFAULT_FUSION_PATTERNS if name not in PATTERNS]
            copy = onnx.ModelProto()
            copy.CopyFrom(model)
            slimmed = onnxslim.slim(copy, skip_fusion_patterns=skipped, size_threshold=MAX_FOLDED_BYTES)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever third-party code raises, we go on without it
        log.info("onnxslim cannot clean this graph (%s): only edgetune's own passes run", one_line(error))
        return model
    produced = {name for node in slimmed.graph.node for name in node.output}
    produced.update(value.name for value in (*slimmed.graph.initializer, *interface.input))
    if any(value.name not in produced for value in interface.output):
        log.info("onnxslim lost an output of this graph: only edgetune's own passes run")
        return model
    for part in ("input", "output"):  # it drops inputs that nobody reads
        slimmed.graph.ClearField(part)
        getattr(slimmed.graph, part).MergeFrom(getattr(interface, part))
    del slimmed.graph.value_info[:]
    return slimmed
