"""Keeps TVM from importing PyTorch, which it does first where PyTorch is installed, for the sake of Windows: that takes
seconds and starts CUDA. Whoever imports PyTorch itself, as the peers of a benchmark, gets it as ever."""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Sequence
from types import ModuleType

_IMPORTERS = ("tvm", "tvm_ffi")


class _NotForTvm(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Raises ImportError for PyTorch while a module of TVM's is being imported; else leaves it to others."""
        if fullname == "torch" and any(map(_being_imported, list(sys.modules))):
            raise ModuleNotFoundError("TVM does not need it", name=fullname)


def _being_imported(name: str) -> bool:
    if name.partition(".")[0] not in _IMPORTERS:
        return False
    return bool(getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False))


def keep_out() -> None:
    """From now on, in this process. Cheap when repeated."""
    if not any(isinstance(finder, _NotForTvm) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NotForTvm())
