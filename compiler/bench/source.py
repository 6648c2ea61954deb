"""From a package back to the model that it was compiled from, for verification and peers."""

from __future__ import annotations

from compiler.errors import EdgetuneError
from compiler.frontend.model import Model
from compiler.package import Manifest


def model_of(manifest: Manifest) -> Model:
    """Load the model that the manifest names, in the package's shapes.

    Raises EdgetuneError when it is gone or not the same any more.
    """
    from compiler.frontend import load

    info = manifest.model
    try:
        model = load(
            info.source,
            batch=None if info.shapes else info.batch,
            shapes={name: tuple(shape) for name, shape in info.shapes.items()} or None,
            seed=info.seed or 0,
        )
    except EdgetuneError as error:
        raise EdgetuneError(f"the model that the package was compiled from cannot be loaded: {error}") from None
    if model.sha256 != info.sha256:
        raise EdgetuneError(f"{info.source} has changed since the package was compiled from it: compile it again")
    return model
