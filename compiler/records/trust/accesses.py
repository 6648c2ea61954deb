"""Whether a scheduled kernel stays within its buffers, conditions counted.

TVM's own check (`OOBChecker`) takes the bounds of loops and blocks only. On GPUs the picture is gathered where it is
read, with zeros in the place of what lies outside (`if_then_else`), and tails are left out by conditions of blocks: to
that check all of it looks like an access beyond the end.
"""

from __future__ import annotations

from typing import Any

from compiler.errors import EdgetuneError

BEYOND = "it reads or writes beyond the end of a buffer"


def check_accesses(func: Any) -> None:
    """Raises EdgetuneError unless each access by indices is shown to lie within its buffer.

    As TVM does it, the domain of a block's axis is taken for true; what is called by address is not looked at.
    """
    from tvm.sym import Analyzer

    _Visitor(Analyzer()).statement(func.body)


class _Visitor:
    """Walks a function with what is known of its variables and conditions where it is."""

    def __init__(self, analyzer: Any) -> None:
        self._analyzer = analyzer

    def statement(self, node: Any) -> None:
        from tvm import ir, s_tir, tirx

        if isinstance(node, tirx.SeqStmt):
            for part in node.seq:
                self.statement(part)
        elif isinstance(node, tirx.For):
            self._analyzer.bind(node.loop_var, ir.Range.from_min_extent(node.min, node.extent))
            self.statement(node.body)
        elif isinstance(node, s_tir.SBlockRealize):
            self.expression(node.predicate)
            with self._analyzer.constraint_scope(node.predicate):
                known = _parts(node.predicate)
                for axis, value in zip(node.block.iter_vars, node.iter_values, strict=True):
                    self._bind(axis, value, known)
                if node.block.init is not None:
                    self.statement(node.block.init)
                self.statement(node.block.body)
        elif isinstance(node, tirx.IfThenElse):
            self.expression(node.condition)
            with self._analyzer.constraint_scope(node.condition):
                self.statement(node.then_case)
            if node.else_case is not None:
                self.statement(node.else_case)
        elif isinstance(node, tirx.BufferStore):
            self._access(node.buffer, node.indices)
            self.expression(node.value)
        elif isinstance(node, tirx.Evaluate):
            self.expression(node.value)
        else:
            raise EdgetuneError(f"it holds a {type(node).__name__}, whose accesses are not checked")

    def expression(self, node: Any) -> None:
        from tvm import ir, tirx

        if isinstance(node, ir.TensorLoad):
            self._access(node.source, node.indices)
        elif isinstance(node, ir.Call):
            if str(getattr(node.op, "name", "")).endswith(".if_then_else"):
                condition, then, other = node.args
                self.expression(condition)
                with self._analyzer.constraint_scope(condition):
                    self.expression(then)
                with self._analyzer.constraint_scope(tirx.Not(condition)):
                    self.expression(other)
                return
            for argument in node.args:
                self.expression(argument)
        else:
            # Operators, casts and the like: whatever of them is an expression.
            for name in ("a", "b", "value", "condition", "true_value", "false_value", "base", "body"):
                child = getattr(node, name, None)
                if isinstance(child, ir.Expr):
                    self.expression(child)

    def _bind(self, axis: Any, value: Any, known: list[Any]) -> None:
        """A block's axis: within its domain, and no more than what it is bound to takes under the block's condition."""
        from tvm import ir, tirx

        taken = self._analyzer.const_int_bound(value)
        domain = self._analyzer.const_int_bound(axis.dom.extent)
        least = self._analyzer.const_int_bound(axis.dom.min)
        first = max(int(taken.min_value), int(least.min_value))
        last = min(int(taken.max_value), int(least.max_value) + int(domain.max_value) - 1)
        for part in known:
            # Conditions are often written in other words than the value that they are of.
            most = getattr(getattr(part, "b", None), "value", None)
            if isinstance(part, tirx.LT) and isinstance(most, int) and self._analyzer.can_prove_equal(part.a, value):
                last = min(last, most - 1)
        self._analyzer.bind(axis.var, ir.Range(first, max(first, last) + 1))

    def _access(self, buffer: Any, indices: Any) -> None:
        for index, extent in zip(indices, buffer.shape, strict=True):
            found = self._analyzer.const_int_bound(index)
            most = getattr(extent, "value", None)
            inside = most is not None and found.min_value >= 0 and found.max_value < most
            if not inside and not (self._analyzer.can_prove(index >= 0) and self._analyzer.can_prove(index < extent)):
                raise EdgetuneError(BEYOND)
            self.expression(index)


def _parts(condition: Any) -> list[Any]:
    """The conditions that all hold where `condition` does."""
    from tvm import tirx

    if isinstance(condition, tirx.And):
        return [*_parts(condition.a), *_parts(condition.b)]
    return [condition]
