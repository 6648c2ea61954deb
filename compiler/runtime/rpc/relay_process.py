"""The process of `relay.py`: `python relay_process.py BOARD_FD LISTENER_FD`, with what to expect on standard input.

It imports nothing of the project, so that it starts in a few milliseconds, and ends with either of its connections; the
desk's end closes when the desk dies.
"""

import contextlib
import json
import socket
import sys
import threading

CHUNK = 1 << 18
LET_IN_SECONDS = 30.0


def main() -> None:
    letter = json.load(sys.stdin)
    board = socket.socket(fileno=int(sys.argv[1]))
    with socket.socket(fileno=int(sys.argv[2])) as listener:
        client = let_in(listener, bytes.fromhex(letter["expect"]), bytes.fromhex(letter["reply"]))
    board.settimeout(None)
    down = threading.Thread(target=pump, args=(board, client), daemon=True)
    down.start()
    pump(client, board)
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


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Carry what `source` sends until it ends, and then end both."""
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    try:
        while size := source.recv_into(buffer):
            sink.sendall(view[:size])
    except OSError:
        pass
    for sock in (source, sink):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    main()
