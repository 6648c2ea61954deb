"""Between TVM's client and a board's connection: TVM's own client can neither time out nor notice a board that died.

So the handshake with the board is made by us, with deadlines, on a connection that keepalives watch, and TVM's client
is let in at a loopback port with a key that is good once. When the connection ends, for whatever reason, TVM's call
ends with it. The relay is a process of its own: TVM holds Python's lock while it waits for a board to free an object,
and a thread could not relay the answer.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from compiler.runtime.rpc import relay_process, wire


class Relay:
    """Relays between `board`, a connection after its handshake, and the one client that comes to `port` with `key`."""

    def __init__(self, board: socket.socket, server_key: str) -> None:
        """Takes `board` over. Raises OSError where no process can be started."""
        self.key = secrets.token_hex(16)
        self._mark = secrets.token_hex(16)
        self._orders = 0
        letter = {
            "expect": (wire.pack_int(wire.MAGIC) + wire.pack_text(f"{wire.SESSION}{self.key}")).hex(),
            "reply": (wire.pack_int(wire.MAGIC) + wire.pack_text(server_key)).hex(),
            "mark": self._mark,
        }
        with board, socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
            self.port = int(listener.getsockname()[1])
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", relay_process.__file__, str(board.fileno()), str(listener.fileno())],
                pass_fds=[board.fileno(), listener.fileno()],
                stdin=subprocess.PIPE,
                text=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the desk's to handle
            )
        self._tell(letter)

    @property
    def closed(self) -> bool:
        """Whether the connection has ended, at either end."""
        return self._process.poll() is not None

    def ends_within(self, seconds: float) -> bool:
        """Whether the connection has ended, or ends in so many seconds: TVM may hear of it before its process has."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def send_file(self, path: Path, offset: int, size: int) -> str:
        """Have `size` bytes of the file from `offset` on follow the call that holds the text which is returned."""
        self._orders += 1
        self._tell({"number": self._orders, "path": str(path.absolute()), "offset": offset, "size": size})
        return f"{self._mark}{self._orders:08d}"

    def close(self) -> None:
        """End the connection, upon which the agent ends the session, whatever it computes."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _tell(self, message: Mapping[str, object]) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # a process that ended: TVM's client says so
                self._process.stdin.write(json.dumps(message) + "\n")
                self._process.stdin.flush()
