"""A TCP connection to a board that is noticed when it dies, and questions that need no session."""

from __future__ import annotations

import socket
import time
from typing import Any

from compiler.errors import EdgetuneError
from compiler.runtime.rpc import wire
from compiler.runtime.rpc.address import Address

CONNECT_SECONDS = 10.0
STATUS_SECONDS = 5.0
LOST_SECONDS = 10
"""A board that does not acknowledge what was sent for so long is lost, and its connection is closed."""


def dial(address: Address, seconds: float = CONNECT_SECONDS) -> socket.socket:
    """A connection to `address`. Raises EdgetuneError, in one line, when there is none within `seconds`."""
    try:
        sock = socket.create_connection(address, timeout=seconds)
    except socket.gaierror:
        raise EdgetuneError(f"there is no host called {address.host}") from None
    except TimeoutError:
        raise EdgetuneError(f"{address} did not answer within {seconds:g} s") from None
    except ConnectionRefusedError:
        raise EdgetuneError(f"nothing listens at {address}: `edgetune serve` on the board starts an agent") from None
    except OSError as error:
        raise EdgetuneError(f"{address} cannot be reached: {error.strerror or error}") from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 4), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_SECONDS * 1000)
    return sock


def ask_status(address: Address, seconds: float = STATUS_SECONDS) -> dict[str, Any]:
    """What the agent at `address` says of itself (*status* in docs/agent-protocol.md), also while it is busy.

    Raises EdgetuneError where nothing answers within `seconds`, or no agent.
    """
    started = time.monotonic()
    with dial(address, seconds) as sock:
        sock.settimeout(max(0.1, seconds - (time.monotonic() - started)))
        try:
            sock.sendall(wire.pack_int(wire.MAGIC) + wire.pack_text(wire.STATUS))
            answer = wire.receive_int(sock)
            status = wire.receive_json(sock) if answer == wire.MAGIC else None
        except TimeoutError:
            raise EdgetuneError(f"{address} did not answer within {seconds:g} s: it is no agent, or hangs") from None
        except OSError:
            status = None
    if not isinstance(status, dict) or "state" not in status:
        raise EdgetuneError(f"what listens at {address} is no edgetune agent")
    return status
