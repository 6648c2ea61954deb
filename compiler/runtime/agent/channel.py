"""What the agent and its template say to each other: JSON, one message a packet, with descriptors where they belong."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

_MAX_MESSAGE = 1 << 16
_MAX_DESCRIPTORS = 4


class Message(NamedTuple):
    """What was said: its `what`, its other values, and the descriptors that came along, the receiver's from now on."""

    what: str
    values: dict[str, Any]
    descriptors: list[int]


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends, each of which sees when the other is closed."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(end: socket.socket, what: str, descriptors: Sequence[int] = (), **values: Any) -> None:
    """Say `what`. Raises OSError where nobody listens any more."""
    data = json.dumps({"what": what, **values}).encode()
    if descriptors:
        socket.send_fds(end, [data], list(descriptors))
    else:
        end.send(data)


def receive(end: socket.socket) -> Message | None:
    """The next message; None where the other end is closed. Raises BlockingIOError as a socket does."""
    data, descriptors, _, _ = socket.recv_fds(end, _MAX_MESSAGE, _MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    values = json.loads(data)
    return Message(values.pop("what"), values, descriptors)
