"""Peers: other engines, measured in the same run.

One file per peer, which registers itself here; a new one needs its line in `_FILES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from compiler.errors import EdgetuneError, UsageError

if TYPE_CHECKING:
    from compiler.bench.engine import Engine
    from compiler.frontend.model import Model

Opener = Callable[["Model", int, str], "Engine"]

_FILES = {"onnxruntime": "onnxruntime", "openvino": "openvino"}
_openers: dict[str, Opener] = {}


def register(name: str) -> Callable[[Opener], Opener]:
    """Decorator of `opener(model, threads, precision)`, which loads a model; ImportError means not installed."""

    def add(opener: Opener) -> Opener:
        _openers[name] = opener
        return opener

    return add


def peer_names() -> list[str]:
    """The peers that there are, installed or not."""
    return list(_FILES)


def open_peer(name: str, model: Model, threads: int, precision: str) -> Engine:
    """Load `model` into a peer, at its own recommended settings, with `threads` threads.

    `precision` is `fp32` or `fp16`; the engine says what it really uses. Raises UsageError for an unknown peer and
    EdgetuneError for one that is not installed or cannot take the model.
    """
    if name not in _FILES:
        raise UsageError(f"there is no peer {name!r}: choose from {', '.join(_FILES)}")
    importlib.import_module(f"compiler.bench.peers.{_FILES[name]}")
    try:
        return _openers[name](model, threads, precision)
    except ImportError:
        raise EdgetuneError(f"the peer {name} is not installed: pip install 'edgetune[peers]'") from None
    except EdgetuneError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise EdgetuneError(
            f"the peer {name} cannot load {model.name}: {lines[0] if lines else type(error).__name__}"
        ) from error
