"""What the user names to work on: a package, a model's file, or a built-in model."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from compiler.errors import EdgetuneError, UsageError
from compiler.package import Package, open_package
from compiler.records.canonical import check_text


def is_package(source: str) -> bool:
    """Whether `source` names a package rather than a model: by its ending, or where that is silent, by its content."""
    path = Path(source)
    if path.suffix == ".tar":
        return True
    try:
        # A tar's first header ends in these; an ONNX file of that size has no reason to.
        with path.open("rb") as file:
            return path.suffix != ".onnx" and file.read(263)[257:262] == b"ustar"
    except (OSError, ValueError):  # ValueError: a NUL byte in the name
        return False


def must_exist(source: str) -> None:
    """Raises UsageError for a model or package that is not there; a built-in model needs no file."""
    from compiler.frontend.names import builtin_names

    try:
        check_text(source, "its name")  # it is kept in the package, where it would be refused
    except EdgetuneError as error:
        raise UsageError(f"{source!r}: {error}; rename the file") from None
    if source in builtin_names() or os.path.lexists(source):
        return
    if is_package(source):
        raise UsageError(f"there is no package {source}: `edgetune compile` makes one")
    # A bare word is a misspelt built-in model; the front end knows which.
    if Path(source).suffix or len(Path(source).parts) != 1:
        raise UsageError(f"there is no file {source}")


def must_be_model(source: str) -> None:
    """Raises UsageError for what is not there, and for a package."""
    must_exist(source)
    if is_package(source):
        raise UsageError(f"{source} is a package: name the model that it was compiled from")


def must_be_file(path: str, option: str) -> None:
    """Raises UsageError where there is no file `path`, which `option` reads."""
    if not os.path.lexists(path):
        raise UsageError(f"{option} {path}: there is no such file")


def opened_package(source: str) -> Package:
    """The package `source`. Raises UsageError for one that is not there, and for a model, with the way on."""
    from compiler.frontend.names import builtin_names

    if not os.path.lexists(source) and source in builtin_names():
        raise UsageError(f"{source} is a model: `edgetune compile {source}` makes a package of it")
    must_exist(source)
    if Path(source).suffix == ".onnx":
        raise UsageError(f"{source} is a model: `edgetune compile {shlex.quote(source)}` makes a package of it")
    return open_package(source)
