"""A worker process: `python -m compiler.tuning.worker FD THREADS ROLE` serves jobs from the socket FD until it closes.

ROLE is `desk` (it builds and measures here), `board` (it measures on a board), `measurer` (it is on a board itself, and
measures there), `examiner` or `comparer` (it looks at what came from elsewhere, or runs it, and answers with JSON,
which its owner can read whatever became of it).

It imports TVM once and is kept for the session. A job that crashes takes the process with it, which its owner sees as
the end of the connection. The first answer, unasked, is (True, "ready"); the others are (True, result), and any may be
(False, one line).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from compiler.tuning.workers import BOARD, CONFINED, EXAMINER, MEASURER
from compiler.without_torch import keep_out

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tuning process, which then closes the socket
    _end_with_owner()
    connection, role = Connection(int(sys.argv[1])), sys.argv[3]
    send = _json_sender(connection) if role in CONFINED else connection.send
    try:
        jobs = _jobs_of(role, int(sys.argv[2]))
    except Exception as error:  # noqa: BLE001 - the owner is the one who can tell it
        send((False, _line(error)))
        return
    send((True, "ready"))
    while True:
        try:
            kind, arguments = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = (True, jobs[kind](**arguments))
        except Exception as error:  # noqa: BLE001 - whatever a candidate did, its owner gets one line
            answer = (False, _line(error))
        send(answer)


def _json_sender(connection: Connection) -> Callable[[Any], None]:
    return lambda answer: connection.send_bytes(json.dumps(answer).encode())


def _end_with_owner() -> None:
    """Have Linux kill this process when the owner's thread that started it ends, be it by kill -9 and in the middle of
    a candidate that never ends: such a one does not look at the connection."""
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _jobs_of(role: str, threads: int) -> dict[str, Callable[..., Any]]:
    if role == BOARD:
        return _board_jobs()
    if role == MEASURER:
        from compiler.tuning.offline.measurer import jobs

        return jobs()
    return _confined_jobs(role) if role in CONFINED else _jobs(threads)


def _jobs(threads: int) -> dict[str, Callable[..., Any]]:
    """What can be asked for, with TVM loaded and its threads set."""
    os.environ["TVM_NUM_THREADS"] = str(threads)
    keep_out()
    from compiler.tvm_setup import prepare

    prepare()
    from compiler.runtime.measure.candidate import measure
    from compiler.runtime.threads import compute_cpus, set_threads
    from compiler.tuning.worker.build import build
    from compiler.tuning.worker.check import check

    set_threads(threads)
    cpus = compute_cpus(threads)
    return {"build": build, "measure": partial(measure, cpus=cpus), "check": partial(check, cpus=cpus)}


def _board_jobs() -> dict[str, Callable[..., Any]]:
    """What can be asked for of a board, with TVM's runtime loaded."""
    keep_out()
    import tvm.rpc  # noqa: F401  (here, since the owner waits for this and not in the middle of a job)

    from compiler.tuning.worker.board import BoardSession

    session = BoardSession()
    names = ("open", "close", "send", "measure", "check", "sensors", "cool_down")
    return {name: getattr(session, name) for name in names}


def _confined_jobs(role: str) -> dict[str, Callable[..., Any]]:
    """What can be asked for of a process with limits: everything is loaded, and from then on no file is opened."""
    from compiler.tvm_setup import prepare

    prepare()
    from compiler.records.trust import confined

    return confined.looking() if role == EXAMINER else confined.comparing()


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"[:500]


if __name__ == "__main__":
    main()
