"""Writing a tensor into a slice of a larger one, and reading it from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx
from tvm.script import from_source
from tvm.script import tirx as script

from . import KERNEL


def _sizes(shape: Sequence[int]) -> str:
    """`shape` as the 64-bit numbers that Relax has: FuseTIR takes no others for the same tensor."""
    return ", ".join(f"T.int64({size})" for size in shape)


@dataclass(frozen=True)
class Slice:
    """The part of a tensor of shape `whole` that begins at `offset` along `axis` and has the shape `part`."""

    whole: tuple[int, ...]
    part: tuple[int, ...]
    axis: int
    offset: int
    dtype: str

    def _index(self, names: Sequence[str]) -> str:
        return ", ".join(f"{n} + {self.offset}" if d == self.axis and self.offset else n for d, n in enumerate(names))

    def _function(self, name: str, params: str, statement: str) -> tirx.PrimFunc:
        loops = [f"i{d}" for d in range(len(self.part))]
        axes = [f"v{d}" for d in range(len(self.part))]
        kinds = "S" * len(loops)
        lines = [
            "@T.prim_func(private=True, s_tir=True)",
            f"def {name}({params}):",
            '    T.func_attr({"tirx.noalias": True})',
            f"    for {', '.join(loops)} in T.grid({_sizes(self.part)}):",
            f'        with T.sblock("{name}"):',
            f'            {", ".join(axes)} = T.axis.remap("{kinds}", [{", ".join(loops)}])',
            f'            T.sblock_attr({{"{KERNEL}": "{name}"}})',
            "            " + statement.format(part=", ".join(axes), whole=self._index(axes)),
        ]
        return from_source("\n".join(lines) + "\n", {"T": script})

    def _buffer(self, name: str, shape: Sequence[int]) -> str:
        return f'{name}: T.Buffer(({_sizes(shape)},), "{self.dtype}")'

    def write(self, first: bool) -> tirx.PrimFunc:
        """A function (part, whole) that writes `part` into its slice of `whole` and nothing else there.

        Unless it is the first to write there, it is (part, before, whole): `before` is `whole` with what others wrote,
        and is not read (`passes.in_place` makes one tensor of the two).
        """
        before = "" if first else self._buffer("before", self.whole) + ", "
        params = f"{self._buffer('part', self.part)}, {before}{self._buffer('whole', self.whole)}"
        return self._function("write_slice", params, "whole[{whole}] = part[{part}]")

    def read(self) -> tirx.PrimFunc:
        """A function (whole, part) that copies the slice out."""
        params = f"{self._buffer('whole', self.whole)}, {self._buffer('part', self.part)}"
        return self._function("read_slice", params, "part[{part}] = whole[{whole}]")
