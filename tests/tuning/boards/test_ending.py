"""Why a session ended, from what the agent says of itself: made up here, byte by byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from compiler.runtime.rpc import wire
from compiler.runtime.rpc.address import Address
from compiler.tuning.boards import ending
from compiler.tuning.boards.ending import answers, failed_sessions, why_ended


@contextmanager
def saying(*statuses: dict[str, Any]) -> Iterator[Address]:
    """An agent that answers each question with the next of `statuses`, and the last one for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        left = list(statuses)

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    wire.receive_int(client)
                    wire.receive_text(client)
                    client.sendall(wire.pack_int(wire.MAGIC))
                    wire.send_json(client, left.pop(0) if len(left) > 1 else left[0])

        threading.Thread(target=serve, daemon=True).start()
        yield Address("127.0.0.1", server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


def status(**values: Any) -> dict[str, Any]:
    return {"state": "free", "session_seconds": None, "uptime_s": 1000.0, "last_failure": None, **values}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"last_failure": "SIGSEGV"}, "crashed the session on the board (SIGSEGV)"),
        ({"last_failure": "exit status 7"}, "crashed the session on the board (exit status 7)"),
        ({}, "crashed the session on the board"),
        ({"last_failure": 11}, "crashed the session on the board"),
        ({"last_failure": "time limit"}, None),
        ({"last_failure": "agent"}, None),
        ({"last_failure": "SIGSEGV", "uptime_s": 3.0}, None),
        ({"last_failure": "SIGSEGV", "uptime_s": None}, "crashed the session on the board (SIGSEGV)"),
        (
            {"last_failure": "SIGSEGV", "state": "busy", "session_seconds": 2.0},
            "crashed the session on the board (SIGSEGV)",
        ),
    ],
)
def test_reason(values: dict[str, Any], reason: str | None) -> None:
    with saying(status(**values)) as address:
        assert why_ended(address, time.monotonic() - 20.0) == reason


def test_a_connection_that_broke_is_no_crash() -> None:
    """What failed last is another session's."""
    with saying(status(last_failure="SIGSEGV", failed_sessions=3)) as address:
        assert failed_sessions(address) == 3
        assert why_ended(address, time.monotonic() - 20.0, 3) is None
        assert why_ended(address, time.monotonic() - 20.0, 2) == "crashed the session on the board (SIGSEGV)"


def test_an_agent_is_given_time_to_notice() -> None:
    busy = status(state="busy", session_seconds=20.1, last_failure="SIGABRT")
    with saying(busy, busy, status(last_failure="SIGSEGV")) as address:
        assert why_ended(address, time.monotonic() - 20.0) == "crashed the session on the board (SIGSEGV)"


def test_one_that_never_notices_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "_REAP_SECONDS", 0.2)
    with saying(status(state="busy", session_seconds=20.1)) as address:
        assert why_ended(address, time.monotonic() - 20.0) == "crashed the session on the board"


def test_nobody_there() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and not listening: nobody else gets the port
        address = Address("127.0.0.1", nobody.getsockname()[1])
        assert why_ended(address, time.monotonic()) is None
        assert not answers(address) and failed_sessions(address) is None
