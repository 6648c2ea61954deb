"""How a peer gets the model: in memory where possible: weights mapped from a file are not the peer at its best."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from compiler.frontend.model import Model
from compiler.frontend.reference import proto_bytes, reference_path

IN_MEMORY_BYTES = 1 << 30
"""Well below the 2 GB at which protobuf ends."""


@contextmanager
def model_source(model: Model) -> Iterator[bytes | str]:
    """The serialised `Model.reference`, or the path of a temporary file of it that is gone afterwards."""
    if proto_bytes(model.reference) <= IN_MEMORY_BYTES:
        yield model.reference.SerializeToString()
        return
    with reference_path(model) as path:
        yield str(path)
