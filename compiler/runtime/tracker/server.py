"""The tracker's process: TVM's tracker (python/tvm/rpc/tracker.py) on a socket of ours, in this thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import secrets
import signal
import socket
from collections.abc import Callable
from typing import Any

from compiler.errors import EdgetuneError
from compiler.runtime.agent.listening import listen, shown
from compiler.runtime.agent.log import Log

_DESCRIPTORS = 1 << 14


def run(host: str, port: int, ready: Callable[[str], None]) -> None:
    """Track boards until SIGTERM or SIGINT; `ready` is called with where it listens.

    Raises EdgetuneError where it cannot listen there, or tornado is not installed.
    """
    sock = listen(host, port)
    # Nothing here compiles: TVM's runtime alone is loaded, and only for what `import tvm.rpc` wants of it.
    os.environ["TVM_USE_RUNTIME_LIB"] = "1"
    try:
        import tornado  # noqa: F401
    except ImportError:
        sock.close()
        raise EdgetuneError("the tracker needs tornado: pip install 'edgetune[rpc]'") from None
    _allow_descriptors()

    async def track() -> None:
        tracker = make_tracker(sock, Log())
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        ready(shown(sock))
        await ended.wait()
        tracker.close_all()

    asyncio.run(track())


def make_tracker(sock: socket.socket, say: Callable[[str], None]) -> Any:
    """TVM's tracker listening at `sock`, in the event loop that runs; `say` gets the lines of its log."""
    from compiler.runtime.tracker.handler import Tracker

    return Tracker(sock, secrets.token_hex(16), say)


def _allow_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    with contextlib.suppress(OSError, ValueError):
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
