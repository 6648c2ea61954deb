"""Peers: other engines, measured in the same run.

One file per engine, which registers itself here under the names that it has; a new one needs its line in `PEERS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compiler.errors import EdgetuneError, UsageError

if TYPE_CHECKING:
    from compiler.bench.engine import Engine
    from compiler.frontend.model import Model

Opener = Callable[["Model", int, str, str], "Engine"]


@dataclass(frozen=True)
class Peer:
    """The `file` that has it, the kinds of device that it computes on, and how it is installed."""

    file: str
    devices: tuple[str, ...]
    install: str


PEERS = {
    "onnxruntime": Peer("onnxruntime", ("cpu",), "pip install 'edgetune[peers]'"),
    "openvino": Peer("openvino", ("cpu",), "pip install 'edgetune[peers]'"),
    "torch": Peer("torch", ("cpu", "cuda"), "pip install torch"),
    "torch-compile": Peer("torch", ("cpu", "cuda"), "pip install torch"),
    "onnxruntime-cuda": Peer("onnxruntime_cuda", ("cuda",), "pip install onnxruntime-gpu, in place of onnxruntime"),
    "tensorrt": Peer("tensorrt", ("cuda",), "pip install tensorrt cuda-bindings"),
}
_openers: dict[str, Opener] = {}


def register(name: str) -> Callable[[Opener], Opener]:
    """Decorator of `opener(model, threads, precision, device)`, which loads a model; ImportError: not installed."""

    def add(opener: Opener) -> Opener:
        _openers[name] = opener
        return opener

    return add


def peer_names() -> list[str]:
    """The peers that there are, installed or not."""
    return list(PEERS)


def open_peer(name: str, model: Model, threads: int, precision: str, device: str = "cpu") -> Engine:
    """Load `model` into a peer, at its own recommended settings, on a `device` of that kind (`cpu`, `cuda`).

    On a CPU it computes with `threads` threads. `precision` is `fp32`, `fp16`, or on GPUs `tf32`: the FP32 model, whose
    factors may be rounded to TF32 before they are multiplied. The engine says what it really uses.
    Raises UsageError for an unknown peer and EdgetuneError for one that is not installed, does not compute on such a
    device, or cannot take the model.
    """
    if name not in PEERS:
        raise UsageError(f"there is no peer {name!r}: choose from {', '.join(PEERS)}")
    peer = PEERS[name]
    if device not in peer.devices:
        others = ", ".join(other for other, known in PEERS.items() if device in known.devices)
        raise EdgetuneError(
            f"the peer {name} computes on {' or '.join(peer.devices)}, and this package on {device}: take {others}"
        )
    importlib.import_module(f"compiler.bench.peers.{peer.file}")
    try:
        return _openers[name](model, threads, precision, device)
    except ImportError:
        raise EdgetuneError(f"the peer {name} is not installed: {peer.install}") from None
    except EdgetuneError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise EdgetuneError(
            f"the peer {name} cannot load {model.name}: {lines[0] if lines else type(error).__name__}"
        ) from error
