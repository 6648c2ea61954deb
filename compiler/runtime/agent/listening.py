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


def keep_alive(sock: socket.socket) -> None:
    """Have the system notice within half a minute that the other side has vanished without a word."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 25000)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
