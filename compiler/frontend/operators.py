"""Which operators can be compiled: asked before TVM's importer runs, so that all that cannot are listed at once."""

from __future__ import annotations

import onnx

from compiler.errors import EdgetuneError
from compiler.frontend.graphs import all_nodes
from compiler.frontend.guards import unsupported_uses
from compiler.frontend.infer import infer
from compiler.frontend.quiet import quiet

STANDARD_DOMAINS = ("", "ai.onnx")
# Operators of other domains that TVM's importer knows; it looks at the name alone, so anything else would be taken
# for a namesake.
CONTRIB = {("com.microsoft", name) for name in ("Gelu", "FastGelu", "BiasGelu", "SkipLayerNormalization")}
# Names that the importer takes for operators of com.microsoft; the standard has none of the name, or another one.
CONTRIB_ONLY = {
    "Attention",
    "SkipLayerNormalization",
    "EmbedLayerNormalization",
    "FastGelu",
    "BiasGelu",
    "MatMulInteger16",
    "AllClassNMS",
}


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operator set that the model uses (1 where it does not say)."""
    return max((entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS), default=1)


def importable() -> set[str]:
    """The names of the standard operators that TVM's importer knows. Imports TVM."""
    with quiet():
        from tvm.relax.frontend.onnx.onnx_frontend import _get_convert_map
    return (set(_get_convert_map()) - CONTRIB_ONLY) | {"If", "Constant"}


def unsupported_operators(model: onnx.ModelProto, where: str = "the model") -> list[str]:
    """What of a graph cannot be compiled, sorted: operators as `Name` or `domain.Name`, and uses of others in words.
    Imports TVM.
    """
    known = importable()
    missing = {_label(node) for node in all_nodes(model.graph) if not _supported(node, known)}
    return sorted(missing | set(unsupported_uses(model.graph, infer(model, where))))


def check_operators(model: onnx.ModelProto, where: str) -> None:
    """Raises EdgetuneError that lists everything that cannot be compiled."""
    missing = unsupported_operators(model, where)
    if missing:
        plural = "s are" if len(missing) > 1 else " is"
        raise EdgetuneError(f"{where}: {len(missing)} operator{plural} not supported: {', '.join(missing)}")


def check_domains(model: onnx.ModelProto, where: str) -> None:
    """As `check_operators`, but only looks (and imports TVM) when there are operators of other domains: nothing can
    infer their shapes.
    """
    foreign = [
        n for n in all_nodes(model.graph) if n.domain not in STANDARD_DOMAINS and (n.domain, n.op_type) not in CONTRIB
    ]
    if foreign:
        check_operators(model, where)


def _supported(node: onnx.NodeProto, known: set[str]) -> bool:
    if node.domain in STANDARD_DOMAINS:
        return node.op_type in known
    return (node.domain, node.op_type) in CONTRIB


def _label(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"
