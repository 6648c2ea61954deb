"""Makes TVM import fast: one call before anything of MetaSchedule is imported.

`tvm.s_tir.tensor_intrin` parses every tensor intrinsic of every target when it is imported, 20 to 36 s, and TuneContext
imports it. A package stub with the real search path stands in its place: the intrinsics that a target needs can then be
imported one module at a time, by name.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

# Modules of tvm.s_tir.tensor_intrin that schedules of a kind of target tensorize with. No schedule here uses any yet.
INTRINSICS: dict[str, tuple[str, ...]] = {"llvm": (), "cuda": ()}


def prepare(kind: str = "llvm") -> None:
    """Import TVM with only the tensor intrinsics that targets of `kind` (`llvm`, `cuda`) need. Cheap when repeated."""
    import importlib

    import tvm
    import tvm.ir.utils
    import tvm.s_tir

    name = "tvm.s_tir.tensor_intrin"
    if name not in sys.modules:
        stub = types.ModuleType(name)
        stub.__path__ = [str(Path(tvm.__file__).parent / "s_tir" / "tensor_intrin")]
        sys.modules[name] = stub
        tvm.s_tir.tensor_intrin = stub
    for module in INTRINSICS.get(kind, ()):
        importlib.import_module(f"{name}.{module}")
