"""The process of a session: its limits, its folder, its functions, and TVM's loop."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from compiler.runtime.agent import processes
from compiler.runtime.rpc import wire

DONE = 90
"""Exit status of a session that the client has ended. Not 0: a candidate may call exit(0)."""
FAILED = 91
"""Exit status where the client broke TVM's protocol, or the connection."""

_OOM_SCORE = "1000"


def run(
    client: int, output: int, folder: str, memory_limit: int | None, key: str, gpu: dict[str, Any] | None
) -> NoReturn:
    """Serve the client at the other end of the descriptor `client` until it ends the session; never returns.

    What is printed goes to `output`; `folder` is empty and becomes the current one.
    """
    template = os.getppid()
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    processes.end_with(template)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    processes.call_it("edgetune-sess")
    os.chdir(folder)
    os.environ["TMPDIR"] = folder
    _limit(memory_limit)
    sock = socket.socket(fileno=client)
    try:
        sock.setblocking(True)
        import tvm_ffi

        from compiler.runtime.agent import functions

        functions.register(Path(folder), gpu, sock)
        serve = tvm_ffi.get_global_func("rpc.ServerLoop")
        sock.sendall(wire.pack_int(wire.MAGIC) + wire.pack_text(f"{wire.SERVER}{key}"))
        serve(sock.fileno())
    except BaseException as error:  # noqa: BLE001 - the process ends here, whatever it was
        said = [line for line in str(error).splitlines() if line.strip()]
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{type(error).__name__}: {said[-1] if said else ''}\n")
            sys.stderr.flush()
        os._exit(FAILED)
    os._exit(DONE)


def _limit(memory_limit: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_limit is not None:
        with contextlib.suppress(ValueError):  # the system's own limit is lower
            resource.setrlimit(resource.RLIMIT_AS, (memory_limit, memory_limit))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
