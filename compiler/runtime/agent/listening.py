"""Sockets that listen, and how their addresses are written."""

from __future__ import annotations

import socket

from compiler.errors import EdgetuneError

_BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at `host`, a number or a name, and `port` (0: any free one).

    Raises EdgetuneError where that cannot be.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise EdgetuneError(f"{host} is no address of this machine: {error.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise EdgetuneError(f"cannot listen at {host}:{port}: {error.strerror}; --port 0 takes a free one") from None
    return sock


def shown(sock: socket.socket) -> str:
    """Where `sock` listens: `HOST:PORT`, with an IPv6 address in brackets."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
