"""Which operators can be compiled: asked before TVM's importer runs, so that all that cannot are listed at once."""

from __future__ import annotations

import onnx

from compiler.errors import EdgetuneError
from compiler.frontend.graphs import all_nodes
from compiler.frontend.guards import unsupported_uses
from compiler.frontend.infer import infer
from compiler.frontend.quiet import one_line, quiet

STANDARD_DOMAINS = ("", "ai.onnx")
# A damaged file may name thousands of operators.
MAX_LISTED = 600
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
    _refuse(unsupported_operators(model, where), where)


def check_known(model: onnx.ModelProto, where: str) -> None:
    """As `check_operators`, by names alone, for graphs that no checker and no shape inference can take: those with
    operators that the onnx package does not know (of other domains, whether or not the model imports them).

    Imports TVM only where there are any.
    """
    nodes = list(all_nodes(model.graph))
    if all(onnx.defs.has(n.op_type) if n.domain in STANDARD_DOMAINS else _is_contrib(n) for n in nodes if n.op_type):
        return
    known = importable()
    _refuse(sorted({_label(node) for node in nodes if not _supported(node, known)}), where)


def _refuse(missing: list[str], where: str) -> None:
    if missing:
        plural = "s are" if len(missing) > 1 else " is"
        listed = one_line(", ".join(missing), MAX_LISTED)
        raise EdgetuneError(f"{where}: {len(missing)} operator{plural} not supported: {listed}")


def _is_contrib(node: onnx.NodeProto) -> bool:
    return (node.domain, node.op_type) in CONTRIB


def _supported(node: onnx.NodeProto, known: set[str]) -> bool:
    if node.domain in STANDARD_DOMAINS:
        return node.op_type in known
    return _is_contrib(node)


def _label(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"
