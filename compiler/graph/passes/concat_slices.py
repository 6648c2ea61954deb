"""Concatenation without copies: what is concatenated is written where it belongs, and read from there.

    y = conv(x)                      whole = conv_into(x)             # writes its slice only
    z = pool(x)              =>      whole = pool_into(x, whole)      # the same memory: `in_place`
    c = concat(y, z)                 c = whole

A concatenation of concatenations (DenseNet) is one tensor that grows: each kernel reads the slice that was there when
it was its turn. Copied is only what no kernel of ours makes, or what something else than a kernel of ours reads.

Requires: fused functions, concatenations by `kernels.concat`.
Ensures: a function that writes into the tensor that is its last argument has the attribute `edgetune.into`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import tvm
from tvm import relax, tirx

from ..kernels.concat import AXIS
from ..kernels.slices import Slice
from ..rewriter import Constant, Rewriter, dtype_of, op_name, shape_of
from ..scheduling import schedulable

INTO = "edgetune.into"


@dataclass(frozen=True)
class _Place:
    """Where a variable's value lies: in a slice of the tensor that ends up as `root`."""

    root: relax.Var
    slice: Slice


def concat_slices(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    rewriter = _ConcatSlices(mod)
    if not rewriter.places or not rewriter.applies():
        return mod
    out = relax.transform.FuseTIR()(rewriter.run())
    for gvar, func in out.functions.items():
        if gvar.name_hint in rewriter.into:
            out[gvar] = func.with_attr(INTO, True)
    return relax.transform.DeadCodeElimination(["main"])(out)


class _ConcatSlices(Rewriter):
    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self.into: set[str] = set()
        self.current: dict[relax.Var, relax.Expr] = {}  # of each root: the variable that holds it by now
        self.var: relax.Var | None = None
        self.readers, self.others = self._uses()
        self.constant = self._constant()
        self.concats = {v: parts for v, e in self.definitions.items() for parts in [self._parts(e)] if parts}
        self.places = self._places()

    def _uses(self) -> tuple[dict[relax.Var, list[relax.Call]], set[relax.Var]]:
        """The kernels that read each variable, and the variables that something else reads, too."""
        readers: dict[relax.Var, list[relax.Call]] = {}
        others: set[relax.Var] = set()

        def other(expr: relax.Expr) -> None:
            if isinstance(expr, relax.Var):
                others.add(expr)
            elif isinstance(expr, relax.Tuple):
                for field in expr.fields:
                    other(field)
            elif isinstance(expr, relax.TupleGetItem):
                other(expr.tuple_value)
            elif isinstance(expr, relax.Call):
                for argument in expr.args:
                    other(argument)

        for value in self.definitions.values():
            if self._kernel(value) is None:
                other(value)
                continue
            for field in value.args[1].fields:
                if isinstance(field, relax.Var):
                    readers.setdefault(field, []).append(value)
                else:
                    other(field)
        other(self.old.body.body)
        return readers, others

    def _constant(self) -> set[relax.Var]:
        """Variables that depend on no input. FoldConstant computes them, and knows nothing of what was written before:
        none of them may begin a tensor that others write into."""
        found: set[relax.Var] = set()
        for var, value in self.definitions.items():
            kernel = self._kernel(value) is not None
            if kernel and all(self._is_constant(field, found) for field in value.args[1].fields):
                found.add(var)
        return found

    @staticmethod
    def _is_constant(expr: relax.Expr, known: set[relax.Var]) -> bool:
        return isinstance(expr, Constant) or expr in known

    def _kernel(self, expr: relax.Expr) -> tirx.PrimFunc | None:
        """The function that `expr` calls, if it is one of ours with one output."""
        if op_name(expr) != "relax.call_tir" or len(expr.args) != 2 or not isinstance(expr.ty, relax.TensorType):
            return None
        func = self.mod[expr.args[0]]
        return func if isinstance(func, tirx.PrimFunc) and schedulable(func) else None

    def _parts(self, expr: relax.Expr) -> list[tuple[relax.Expr, Slice]] | None:
        """The fields of a concatenation and where they go."""
        func = self._kernel(expr)
        if func is None or AXIS not in func.attrs:
            return None
        axis, whole = int(func.attrs[AXIS]), shape_of(expr)
        parts, offset = [], 0
        for field in expr.args[1].fields:
            shape = shape_of(field)
            if shape is None or whole is None:
                return None
            parts.append((field, Slice(whole, shape, axis, offset, dtype_of(expr))))
            offset += shape[axis]
        return parts

    def _places(self) -> dict[relax.Var, _Place]:
        """Where each variable lies that is made in its place; the outermost concatenations are roots."""
        places: dict[relax.Var, _Place] = {}
        for concat, parts in reversed(list(self.concats.items())):
            if concat in places and places[concat].slice.axis != parts[0][1].axis:
                del places[concat]  # a part of a part would be cut along two axes
            for field, part in parts:
                if self._movable(field, [f for f, _ in parts]):
                    places[field] = self._outermost(concat, part, places)
        return places

    @staticmethod
    def _outermost(concat: relax.Var, part: Slice, places: dict[relax.Var, _Place]) -> _Place:
        """Where `part` of `concat` lies in the outermost concatenation that it is a part of."""
        outer = places.get(concat)
        if outer is None:
            return _Place(concat, part)
        inner = replace(part, whole=outer.slice.whole, offset=outer.slice.offset + part.offset)
        return _Place(outer.root, inner)

    def _movable(self, field: relax.Expr, fields: list[relax.Expr]) -> bool:
        """Whether `field` of a concatenation can be made in its place: by one of our kernels, for this concatenation
        and for kernels of ours that can read it there."""
        if not isinstance(field, relax.Var) or self._kernel(self.definitions.get(field)) is None:
            return False
        if field in self.constant:
            return False
        joins = sum(AXIS in self.mod[call.args[0]].attrs for call in self.readers[field])
        return field not in self.others and joins == 1 and sum(f.same_as(field) for f in fields) == 1

    def bind(self, var: relax.Var, value: relax.Expr) -> None:
        self.var = var
        super().bind(var, value)
        if var in self.places and var not in self.concats:
            self.current[self.places[var].root] = self.env[var]

    def call(self, call: relax.Call) -> relax.Expr | None:
        if self._kernel(call) is None:
            return None
        if self.var in self.concats:
            return self._joined(self.var)
        place = self.places.get(self.var)
        if place is None and not any(self._place(field) for field in call.args[1].fields):
            return None
        return self._group(call, place)

    def _place(self, expr: relax.Expr) -> _Place | None:
        return self.places.get(expr) if isinstance(expr, relax.Var) else None

    def _joined(self, concat: relax.Var) -> relax.Expr | None:
        """The tensor that holds the parts of `concat`, after copying those not made in their places.

        None where none is: one kernel copies them all.
        """
        parts = self.concats[concat]
        if concat not in self.places and not any(self._place(field) for field, _ in parts):
            return None
        # Constants last: the first to write must be something that is not folded.
        for field, part in sorted(parts, key=lambda entry: self._is_constant(entry[0], self.constant)):
            if self._place(field) is None:
                at = self._outermost(concat, part, self.places)
                before = self.current.get(at.root)
                arguments = [self.value(field)] if before is None else [self.value(field), before]
                self.current[at.root] = self.bb.emit(self._write(at.slice, arguments))
        place = self.places.get(concat)
        return self.current[concat if place is None else place.root]

    def _write(self, part: Slice, arguments: list[relax.Expr]) -> relax.Call:
        """A call that writes the first of `arguments` into a slice; the second is what was written before, if any."""
        func = part.write(first=len(arguments) == 1)
        gvar = self.bb.add_func(func, "write_slice")
        if len(arguments) > 1:
            self.into.add(gvar.name_hint)
        return relax.call_tir(gvar, relax.Tuple(arguments), relax.TensorType(part.whole, part.dtype))

    def _group(self, call: relax.Call, place: _Place | None) -> relax.Expr:
        """A call of one function that reads slices, does what `call` does and writes a slice."""
        arguments: list[relax.Expr] = []
        params: list[relax.Var] = []
        bindings: list[relax.VarBinding] = []

        def param(value: relax.Expr) -> relax.Var:
            arguments.append(value)
            params.append(relax.Var(f"p{len(params)}", value.ty))
            return params[-1]

        def bind(expr: relax.Expr) -> relax.Var:
            normal = self.bb.normalize(expr)
            bindings.append(relax.VarBinding(relax.DataflowVar(f"v{len(bindings)}", normal.ty), normal))
            return bindings[-1].var

        fields = []
        for field in call.args[1].fields:
            at = self._place(field)
            source = param(self.value(field) if at is None else self.current[at.root])
            if at is not None:
                reader = self.bb.add_func(at.slice.read(), "read_slice")
                out = relax.TensorType(at.slice.part, at.slice.dtype)
                source = bind(relax.call_tir(reader, relax.Tuple([source]), out))
            fields.append(source)
        last = bind(relax.call_tir(call.args[0], relax.Tuple(fields), call.ty))
        name = call.args[0].name_hint
        if place is not None:
            before = self.current.get(place.root)
            last = bind(self._write(place.slice, [last] if before is None else [last, param(before)]))
            name += "_into"
        result = relax.Var("out", last.ty)
        block = relax.DataflowBlock([*bindings, relax.VarBinding(result, last)])
        body = relax.SeqExpr([block], result)
        function = relax.Function(params, body, last.ty, attrs=tvm.ir.DictAttrs({"Primitive": 1}))
        gvar = self.bb.add_func(function, name)
        if place is not None and len(params) > len(fields):
            self.into.add(gvar.name_hint)
        return relax.Call(gvar, arguments)
