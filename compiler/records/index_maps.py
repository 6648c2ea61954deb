"""What an index map within a trace may be: integer arithmetic on its own variables, and no more.

TVM rebuilds the map's objects from the text field by field and calls no constructor that would look at them, so that
each node is held here to the fields and the kinds of nodes that its type takes.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from compiler.errors import EdgetuneError

MAX_NODES = 5_000
MAX_INTEGER = 2**31 - 1
MAX_AXES = 32

_NAME = re.compile(r"[A-Za-z0-9_.\-]{0,200}")
_DTYPES = frozenset({"int32", "int64"})
_PREFIX = re.compile(r"(?:ir|prim|tirx?)\.(\w+)")
_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "FloorDiv": operator.floordiv,
    "FloorMod": operator.mod,
    "Min": min,
    "Max": max,
}
_BINARY = frozenset(_OPERATIONS)
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


class IndexMap:
    """An index map as a function of integers."""

    def __init__(self, nodes: list[dict[str, Any]], root: int) -> None:
        """`nodes` have been through `check_index_map`, and `root` is a map."""
        data = nodes[root]["data"]
        self._nodes = nodes
        self._initial = [self._name(i) for i in nodes[data["initial_indices"]]["data"]]
        self._final = nodes[data["final_indices"]]["data"]
        inverse = data.get("inverse_index_map")
        self.inverse = None if inverse is None or _kind(nodes[inverse]) == "None" else IndexMap(nodes, inverse)

    @property
    def inputs(self) -> int:
        """How many indices it takes."""
        return len(self._initial)

    def __call__(self, indices: Sequence[int]) -> tuple[int, ...]:
        """The indices that `indices` are mapped to. Raises EdgetuneError where there are too many or too few, or the
        map uses another variable."""
        if len(indices) != len(self._initial):
            raise EdgetuneError(f"the index map takes {len(self._initial)} indices, not {len(indices)}")
        values: dict[int, int] = {}
        names = dict(zip(self._initial, indices, strict=True))
        return tuple(self._value(i, names, values) for i in self._final)

    def _name(self, reference: int) -> str:
        data = self._nodes[reference]["data"]
        name = data.get("name", data.get("name_hint"))
        return "" if name is None else str(self._nodes[name]["data"])

    def _value(self, reference: int, names: dict[str, int], values: dict[int, int]) -> int:
        if reference not in values:
            values[reference] = self._compute(reference, names, values)
        return values[reference]

    def _compute(self, reference: int, names: dict[str, int], values: dict[int, int]) -> int:
        node = self._nodes[reference]
        kind, data = _kind(node), node["data"]
        if kind == "Cast":
            return self._value(data["value"], names, values)
        if kind == "IntImm":
            return int(self._nodes[data["value"]]["data"])
        if kind == "Var":
            name = self._name(reference)
            if name not in names:
                raise EdgetuneError("the index map uses a variable that is none of its indices")
            return names[name]
        return _OPERATIONS[kind](self._value(data["a"], names, values), self._value(data["b"], names, values))


def read_index_map(text: str) -> IndexMap:
    """The map that `text` is TVM's JSON of. Raises EdgetuneError as `check_index_map` does."""
    check_index_map(text)
    return IndexMap(*parse_index_map(text))
