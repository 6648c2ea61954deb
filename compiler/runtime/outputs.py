"""What comes back from TVM, as the local and the remote executable both take it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compiler.errors import EdgetuneError
from compiler.package import Manifest
from compiler.packaging.manifest import WITHOUT_GRAPH

# Functions that the runtime lacks, and what that means.
_MISSING = {
    "vm.builtin.cuda_graph.": "TVM's runtime has no CUDA graphs, as which this package launches its kernels: compile "
    "it with --no-cuda-graph",
    "load_from_bytes.cuda": "TVM's runtime has no CUDA part, or there is no NVIDIA GPU with a driver that it finds",
}


def device_kind(manifest: Manifest) -> str:
    """The kind of TVM device that a package runs on: `cpu` or `cuda`."""
    kind = str(manifest.target.options.get("kind", "llvm"))
    return "cpu" if kind in ("llvm", "c") else kind


def by_kernel(manifest: Manifest) -> str:
    """The function of the package's library that calls kernel by kernel, as a profile wants it."""
    return WITHOUT_GRAPH if manifest.cuda_graph else "main"


def flatten(result: Any) -> list[Any]:
    """The tensors of a result, which may be one, or tuples of them within each other."""
    if hasattr(result, "numpy"):
        return [result]
    return [tensor for field in result for tensor in flatten(field)]


def in_one_line(what: str, function: Callable[[], Any]) -> Any:
    """Call `function`; what TVM throws, pages of it, becomes one line."""
    try:
        return function()
    except EdgetuneError:
        raise
    except Exception as error:
        said = str(error)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        meant = next((meaning for name, meaning in _MISSING.items() if name in said), None)
        line = meant if meant is not None else lines[-1] if lines else type(error).__name__
        raise EdgetuneError(f"TVM could not {what} the model: {line}") from error
