"""A small agent to be put on a board: it answers `status:` and sends back what a session sends."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from compiler.runtime.ssh.source import AGENT

_PROGRAM = """#!{python}
import json, os, select, socket, struct, sys, threading
if "--port" not in sys.argv or "--until-eof" not in sys.argv:
    sys.exit("wrong arguments: %s" % sys.argv)
{trouble}
def until_eof():
    limit = float(sys.argv[sys.argv.index("--heartbeat") + 1])
    while select.select([0], [], [], limit)[0] and os.read(0, 100): pass
    os._exit(0)
def serve(sock):
    with sock:
        integer = lambda: struct.unpack("<i", sock.recv(4, socket.MSG_WAITALL))[0]
        text = lambda: sock.recv(integer(), socket.MSG_WAITALL).decode()
        try: integer(); word = text()
        except (OSError, struct.error): return
        if word.startswith("status:"):
            data = json.dumps({{"state": "free", "identity": {{"tvm": {tvm!r}}}, "pid": os.getpid()}}).encode()
            return sock.sendall(struct.pack("<ii", 0xFF271, len(data)) + data)
        while data := sock.recv(1 << 16): sock.sendall(data)
threading.Thread(target=until_eof, daemon=True).start()
server = socket.create_server(("127.0.0.1", 0))
print("listening on 127.0.0.1:%d" % server.getsockname()[1], flush=True)
while True: threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


def program(*, tvm: str | None = None, trouble: str = "") -> str:
    """The agent's text; `tvm` is the version that it says it has, `trouble` a line of Python before it listens."""
    return _PROGRAM.format(python=sys.executable, tvm=tvm or version("apache-tvm"), trouble=trouble)


class SmallAgents:
    """Agents for boards (see `compiler.runtime.ssh.source.AgentSource`); `built` says how often one was built."""

    def __init__(self, folder: Path, text: str | None = None) -> None:
        self.built = 0
        self._folder = folder
        self._text = text or program()

    def identity(self, _machine: str) -> str:
        return f"0.0-{hashlib.sha256(self._text.encode()).hexdigest()[:8]}"

    def folder(self, machine: str, progress: Callable[[str], None] | None) -> Path:
        self.built += 1
        if progress is not None:
            progress(f"Building for {machine}")
        self._folder.mkdir(parents=True, exist_ok=True)
        files = {AGENT: self._text.encode(), "libsmall.so": bytes(range(256)) * 4000}
        for name, data in files.items():
            (self._folder / name).write_bytes(data)
            (self._folder / name).chmod(0o755)
        sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
        (self._folder / "SHA256SUMS").write_text(sums)
        return self._folder
