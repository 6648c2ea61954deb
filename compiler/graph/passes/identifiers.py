"""Name the inputs of a model by C identifiers: kernels call what they read so, and CUDA source is C.

Requires: nothing.
Ensures: every parameter of `main` is called by letters, digits and underscores, no two alike; `gpu_0/data_0` becomes
`gpu_0_data_0`. Inputs are found by their position, so nobody else has to know.
"""

from __future__ import annotations

import re

import tvm
from tvm import relax

from ..rewriter import Rewriter

_OTHER = re.compile(r"\W", re.ASCII)


class _Identifiers(Rewriter):
    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self.names: dict[relax.Var, str] = {}
        for param in self.old.params:
            name = _OTHER.sub("_", str(param.name))
            name = f"_{name}" if name[:1].isdigit() else name
            while name in self.names.values():
                name += "_"
            self.names[param] = name

    def name(self, param: relax.Var) -> str:
        return self.names[param]


def identifiers(mod: tvm.IRModule) -> tvm.IRModule:
    """Apply the pass."""
    return _Identifiers(mod).run()
