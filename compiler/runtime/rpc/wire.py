"""What desk and board say to each other before TVM's RPC takes over, byte by byte (docs/agent-protocol.md).

Both sides use it; it needs no TVM.
"""

from __future__ import annotations

import json
import re
import socket
import struct
from typing import Any

MAGIC = 0xFF271
MISMATCH = MAGIC + 2
TRACKER_MAGIC = 0x2F271

SESSION = "client:"
STATUS = "status:"
SERVER = "server:"
DEFAULT_KEY = "edgetune"
DEFAULT_PORT = 9090
DEFAULT_TRACKER_PORT = 9190

MAX_KEY = 1024
MAX_JSON = 1 << 20
KEY = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What a board's key may be: TVM's tracker takes it apart at colons, the handshake at spaces."""

_INT = struct.Struct("<i")


class WireError(OSError):
    """The other side does not speak the protocol; the message is one line."""


def pack_int(value: int) -> bytes:
    """32 bits, little endian."""
    return _INT.pack(value)


def unpack_int(data: bytes) -> int:
    """The inverse of `pack_int`; `data` are 4 bytes."""
    return int(_INT.unpack(data)[0])


def pack_text(text: str) -> bytes:
    """A length and the bytes of `text`, as keys and JSON are sent."""
    data = text.encode()
    return pack_int(len(data)) + data


def receive(sock: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes. Raises WireError where the connection is closed before, and TimeoutError as `sock` does."""
    data = bytearray()
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise WireError("the connection was closed")
        data += part
    return bytes(data)


def receive_int(sock: socket.socket) -> int:
    """A 32-bit integer; raises as `receive` does."""
    return unpack_int(receive(sock, 4))


def receive_text(sock: socket.socket, limit: int = MAX_JSON) -> str:
    """A text of at most `limit` bytes, with its length before it. Raises WireError where it is longer or no UTF-8."""
    size = receive_int(sock)
    if not 0 <= size <= limit:
        raise WireError(f"a text of {size} bytes was announced, at most {limit} are expected")
    try:
        return receive(sock, size).decode()
    except UnicodeDecodeError:
        raise WireError("a text is not UTF-8") from None


def receive_json(sock: socket.socket) -> Any:
    """JSON of at most MAX_JSON bytes, with its length before it. Raises WireError where it is none."""
    text = receive_text(sock)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise WireError("what was sent is not JSON") from None


def send_json(sock: socket.socket, value: Any) -> None:
    """Send `value` as JSON with its length before it."""
    sock.sendall(pack_text(json.dumps(value)))
