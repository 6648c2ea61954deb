"""What the IR of an imported workload may be, for it to be read at all: loops over arithmetic on tensors, and no more.

Such a kernel is never built. It is read where old traces are tried on it (`compiler/records/migration.py`).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from compiler.errors import EdgetuneError

MAX_NODES = 100_000

_TYPES = re.compile(
    r"None|int|bool|float"
    r"|ffi\.(?:String|Array|Map)"
    r"|ir\.(?:IRModule|GlobalVar|Type|PrimType|TupleType|DictAttrs|Var|IntImm|FloatImm|Range|Call|Op|Span|SourceMap"
    r"|SourceName|TensorLoad|TensorRegion)"
    r"|prim\.(?:Add|Sub|Mul|Div|Mod|FloorDiv|FloorMod|Min|Max|EQ|NE|LT|LE|GT|GE|And|Or|Not|Select|Cast)"
    r"|tirx\.(?:PrimFunc|BufferType|BufferRegionType|IterVar|For|SeqStmt|BufferStore|IfThenElse)"
    r"|s_tir\.(?:SBlock|SBlockRealize)"
    r"|relax\.(?:ShapeType|TensorType|FuncType|expr\.ShapeExpr)"
)
_OPERATIONS_TEXT = """
    prim.if_then_else tirx.if_then_else tirx.exp tirx.exp2 tirx.exp10 tirx.log tirx.log2 tirx.log10 tirx.log1p
    tirx.sqrt tirx.rsqrt tirx.tanh tirx.sigmoid tirx.erf tirx.pow tirx.sin tirx.cos tirx.tan tirx.floor tirx.ceil
    tirx.round tirx.trunc tirx.nearbyint tirx.fabs tirx.isnan tirx.likely tirx.fmod tirx.hypot
"""
_OPERATIONS = frozenset(_OPERATIONS_TEXT.split())


def check_kernel(ir: str) -> None:
    """Raises EdgetuneError, in one line, unless `ir` (TVM's JSON) is a kernel of what is allowed here, of bounded size.

    What is called is one of the operations known to compute a number.
    """
    graph = msgspec.json.decode(ir)
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    root = graph.get("root_index") if isinstance(graph, dict) else None
    if not (isinstance(nodes, list) and len(nodes) <= MAX_NODES and type(root) is int and 0 <= root < len(nodes)):
        raise EdgetuneError("the IR is not TVM's JSON of a kernel")
    for position, node in enumerate(nodes):
        kind = node.get("type") if isinstance(node, dict) else None
        if not (isinstance(kind, str) and set(node) <= {"type", "data"} and _TYPES.fullmatch(kind)):
            raise EdgetuneError(f"the IR holds {str(kind)[:60]!r}, which no kernel is made of")
        data = node.get("data")
        if kind == "ir.Op" and data not in _OPERATIONS:
            raise EdgetuneError(f"the IR calls {str(data)[:60]!r}")
        if kind == "ir.Call" and not (isinstance(data, dict) and _is(nodes, data.get("op"), position, "ir.Op")):
            raise EdgetuneError("the IR calls something that is no operation")
    if nodes[root]["type"] != "ir.IRModule":
        raise EdgetuneError("the IR is no module")


def _is(nodes: list[Any], reference: Any, position: int, kind: str) -> bool:
    return type(reference) is int and 0 <= reference < position and nodes[reference]["type"] == kind
