"""What comes back from TVM, as the local and the remote executable both take it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compiler.errors import EdgetuneError
from compiler.package import Manifest


def device_kind(manifest: Manifest) -> str:
    """The kind of TVM device that a package runs on: `cpu` or `cuda`."""
    kind = str(manifest.target.options.get("kind", "llvm"))
    return "cpu" if kind in ("llvm", "c") else kind


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
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise EdgetuneError(
            f"TVM could not {what} the model: {lines[-1] if lines else type(error).__name__}"
        ) from error
