"""The first room of a model's way: an ONNX file, or the name of a built-in model, becomes a cleaned graph and then
Relax.

Importing this package is cheap: onnx, ONNX Runtime and TVM are imported when one of the names below is first used.
Only this room knows ONNX.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from compiler.frontend.names import builtin_names

if TYPE_CHECKING:
    from compiler.frontend.classifier import is_classifier, pre_softmax_reference
    from compiler.frontend.importer import import_model
    from compiler.frontend.inputs import load_inputs, random_inputs
    from compiler.frontend.load import load
    from compiler.frontend.model import Model
    from compiler.frontend.operators import unsupported_operators
    from compiler.frontend.reference import ort_session, reference_path, run_reference

# public name -> the module that holds it
_HOMES = {
    "Model": "model",
    "import_model": "importer",
    "is_classifier": "classifier",
    "load": "load",
    "load_inputs": "inputs",
    "ort_session": "reference",
    "pre_softmax_reference": "classifier",
    "random_inputs": "inputs",
    "reference_path": "reference",
    "run_reference": "reference",
    "unsupported_operators": "operators",
}

__all__ = [
    "Model",
    "builtin_names",
    "import_model",
    "is_classifier",
    "load",
    "load_inputs",
    "ort_session",
    "pre_softmax_reference",
    "random_inputs",
    "reference_path",
    "run_reference",
    "unsupported_operators",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = (
        value  # `load` the function must win over `load` the submodule, which the import has just bound here
    )
    return value
