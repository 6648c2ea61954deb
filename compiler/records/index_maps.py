"""What an index map within a trace may be: integer arithmetic on its own variables, and no more.

TVM rebuilds the map's objects from the text field by field and calls no constructor that would look at them, so that
each node is held here to the fields and the kinds of nodes that its type takes.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from compiler.errors import EdgetuneError

MAX_NODES = 5_000
MAX_INTEGER = 2**31 - 1
MAX_AXES = 32

_NAME = re.compile(r"[A-Za-z0-9_.\-]{0,200}")
_DTYPES = frozenset({"int32", "int64"})
_BINARY = frozenset({"Add", "Sub", "Mul", "FloorDiv", "FloorMod", "Min", "Max"})
_PREFIX = re.compile(r"(?:ir|prim|tirx?)\.(\w+)")
_EXPRESSIONS = _BINARY | {"Var", "IntImm", "Cast"}
# Fields of nodes; the names have moved between TVM's versions, and a reader takes only those of its own.
_FIELDS = {
    **dict.fromkeys(_BINARY, (("a", "b"), ("span", "ty", "dtype"))),
    "Var": ((), ("name", "name_hint", "span", "ty", "dtype", "type_annotation")),
    "IntImm": (("value",), ("span", "ty", "dtype")),
    "Cast": (("value",), ("span", "ty", "dtype")),
    "Range": (("min", "extent"), ("span",)),
    "PrimType": (("dtype",), ("span",)),
    "IndexMap": (("initial_indices", "final_indices"), ("inverse_index_map",)),
}


@lru_cache(maxsize=4_096)
def check_index_map(text: str) -> None:
    """Raises EdgetuneError, in one line, unless `text` is TVM's JSON of an index map made of what is allowed here.

    Nodes may only point back, so that there is no cycle; what is divided by is a positive constant.
    """
    nodes, root = parse_index_map(text)
    for position, node in enumerate(nodes):
        _check_node(nodes, position, node)
    if _kind(nodes[root]) != "IndexMap":
        raise EdgetuneError("the index map's root is something else")


def parse_index_map(text: str) -> tuple[list[dict[str, Any]], int]:
    """The nodes and the position of the root. Raises EdgetuneError where `text` is no graph of bounded size."""
    try:
        graph = json.loads(text)
    except (ValueError, RecursionError):
        raise EdgetuneError("the index map is not JSON") from None
    nodes = graph.get("nodes")
    if not (set(graph) <= {"root_index", "nodes", "metadata"} and isinstance(nodes, list)):
        raise EdgetuneError("the index map is not TVM's JSON")
    root = graph.get("root_index")
    if not (type(root) is int and 0 <= root < len(nodes) <= MAX_NODES):
        raise EdgetuneError("the index map has no root")
    for node in nodes:
        kind = node.get("type") if isinstance(node, dict) else None
        if not (isinstance(kind, str) and set(node) <= {"type", "data"}):
            raise EdgetuneError(f"an index map must not hold {str(kind)[:60]!r}")
    return nodes, root


def _kind(node: dict[str, Any]) -> str:
    """`Add`, `Var`, ... of a node, whatever TVM's version calls its module; `ffi.Array` and the like as they are."""
    found = _PREFIX.fullmatch(node["type"])
    return found.group(1) if found is not None else str(node["type"])


def _check_node(nodes: list[dict[str, Any]], position: int, node: dict[str, Any]) -> None:
    kind, data = _kind(node), node.get("data")

    def back(reference: Any, *kinds: str) -> bool:
        return type(reference) is int and 0 <= reference < position and _kind(nodes[reference]) in kinds

    if kind == "None":
        good = data is None
    elif kind in ("int", "bool"):
        good = isinstance(data, int) and -MAX_INTEGER <= data <= MAX_INTEGER
    elif kind == "ffi.String":
        good = isinstance(data, str) and _NAME.fullmatch(data) is not None
    elif kind == "ffi.Array":
        good = isinstance(data, list) and len(data) <= MAX_AXES and all(back(i, *_EXPRESSIONS) for i in data)
    elif kind in _FIELDS and isinstance(data, dict):
        required, optional = _FIELDS[kind]
        good = set(required) <= set(data) <= {*required, *optional}
        good = good and all(_field_ok(nodes, key, value, back) for key, value in data.items())
        good = good and (kind not in ("FloorDiv", "FloorMod") or _positive(nodes, data["b"]))
        good = good and (kind != "IntImm" or back(data["value"], "int", "bool"))
        good = good and (kind == "IntImm" or "value" not in data or back(data["value"], *_EXPRESSIONS))
    else:
        raise EdgetuneError(f"an index map must not hold {str(node['type'])[:60]!r}")
    if not good:
        raise EdgetuneError(f"a {node['type'][:60]} of the index map is malformed")


def _field_ok(nodes: list[dict[str, Any]], key: str, value: Any, back: Any) -> bool:
    if key in ("a", "b", "min", "extent"):
        return bool(back(value, *_EXPRESSIONS))
    if key == "span":
        return value is None or bool(back(value, "None"))
    if key in ("ty", "type_annotation"):
        return bool(back(value, "PrimType"))
    if key == "dtype":
        return value in _DTYPES
    if key in ("name", "name_hint"):
        return bool(back(value, "ffi.String"))
    if key == "initial_indices":
        return bool(back(value, "ffi.Array")) and all(_kind(nodes[i]) == "Var" for i in nodes[value]["data"])
    if key == "final_indices":
        return bool(back(value, "ffi.Array"))
    if key == "inverse_index_map":
        return value is None or bool(back(value, "None", "IndexMap"))
    return key == "value"


def _positive(nodes: list[dict[str, Any]], reference: int) -> bool:
    value = constant(nodes, reference)
    return value is not None and value > 0


def constant(nodes: list[dict[str, Any]], reference: int) -> int | None:
    """The integer that the node at `reference` is, None where it is none."""
    node = nodes[reference]
    if _kind(node) == "Cast":
        return constant(nodes, node["data"]["value"])
    if _kind(node) != "IntImm":
        return None
    return int(nodes[node["data"]["value"]]["data"])
