"""The process of `relay.py`: `python relay_process.py BOARD_FD LISTENER_FD`, with lines of JSON on standard input.

It imports nothing of the project, so that it starts in a few milliseconds, and ends with either of its connections; the
desk's end closes when the desk dies.

The first line says what to expect. Each further one is a file to be sent, {"number", "path", "offset", "size"}: its
bytes follow the packet of TVM's that holds the mark and that number, as they are. TVM would write them one by one.
"""

import contextlib
import json
import os
import socket
import sys
import threading

CHUNK = 1 << 18
LET_IN_SECONDS = 30.0
HEADER = 8
DIGITS = 8
MARKED_BYTES = 4096
"""Packets of more bytes hold no mark."""


def main() -> None:
    letter = json.loads(sys.stdin.readline())
    board = socket.socket(fileno=int(sys.argv[1]))
    with socket.socket(fileno=int(sys.argv[2])) as listener:
        client = let_in(listener, bytes.fromhex(letter["expect"]), bytes.fromhex(letter["reply"]))
    board.settimeout(None)
    down = threading.Thread(target=pump, args=(board, client), daemon=True)
    down.start()
    pump(client, board, Packets(letter["mark"].encode()))
    down.join()


def let_in(listener: socket.socket, expect: bytes, reply: bytes) -> socket.socket:
    """The client that sends `expect`; others, of whatever user of this machine, are turned away."""
    listener.settimeout(LET_IN_SECONDS)
    while True:
        client, _ = listener.accept()
        client.settimeout(LET_IN_SECONDS)
        try:
            if receive(client, len(expect)) == expect:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.sendall(reply)
                client.settimeout(None)
                return client
        except OSError:
            pass
        client.close()


def receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            return data
        data += part
    return data


class Packets:
    """The packets of TVM's in a stream: the length in 8 bytes, and so many."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._header = b""
        self._left = 0
        self._kept: bytearray | None = None

    def parts(self, data: memoryview) -> "list[tuple[memoryview, int]]":
        """`data` in parts, with the number of the file that is to follow each; 0: none."""
        found, begun, at = [], 0, 0
        while at < len(data):
            if not self._left:
                taken = bytes(data[at : at + HEADER - len(self._header)])
                self._header += taken
                at += len(taken)
                if len(self._header) == HEADER:
                    self._left, self._header = int.from_bytes(self._header, "little"), b""
                    self._kept = bytearray() if self._left <= MARKED_BYTES else None
                continue
            size = min(self._left, len(data) - at)
            if self._kept is not None:
                self._kept += data[at : at + size]
            at += size
            self._left -= size
            number = self._number() if not self._left else 0
            if number:
                found.append((data[begun:at], number))
                begun = at
        if begun < len(data):
            found.append((data[begun:], 0))
        return found

    def _number(self) -> int:
        """That of the packet which has just ended."""
        if self._kept is None:
            return 0
        place = self._kept.find(self._mark)
        if place < 0:
            return 0
        place += len(self._mark)
        return int(self._kept[place : place + DIGITS])


def pump(source: socket.socket, sink: socket.socket, packets: "Packets | None" = None) -> None:
    """Carry what `source` sends until it ends, and then end both."""
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    try:
        while size := source.recv_into(buffer):
            if packets is None:
                sink.sendall(view[:size])
                continue
            for part, number in packets.parts(view[:size]):
                sink.sendall(part)
                if number:
                    send_file(sink, number)
    except (OSError, ValueError, KeyError):
        pass
    for sock in (source, sink):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def send_file(sink: socket.socket, number: int) -> None:
    """Send the part of a file that was ordered under `number`; raises OSError where it is no longer there."""
    order = json.loads(sys.stdin.readline())
    while order["number"] != number:  # a call that failed before it was made
        order = json.loads(sys.stdin.readline())
    offset, left = order["offset"], order["size"]
    with open(order["path"], "rb") as file:  # noqa: PTH123 - pathlib takes as long to import as all the rest
        while left:
            sent = os.sendfile(sink.fileno(), file.fileno(), offset, left)
            if not sent:
                raise OSError("the file has become shorter")
            offset += sent
            left -= sent


if __name__ == "__main__":
    main()
