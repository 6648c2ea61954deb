"""Sessions: whatever one does, or its client, the next one is served, and finds nothing of it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compiler.errors import EdgetuneError
from compiler.runtime.rpc import wire
from compiler.runtime.rpc.address import Way
from compiler.runtime.rpc.connect import Connection, connect
from tests.runtime.agent import agents
from tests.runtime.agent.agents import Agent, Kind, alive
from tests.waiting import attempts, wait_for

Troubled = Callable[[Connection], Any]


def settled(agent: Agent) -> dict[str, Any]:
    """Its status once the session before has ended and is counted."""
    wait_for(lambda: agent.status()["state"] == "free")
    return agent.status()


def serves(agent: Agent) -> None:
    """The agent gives the next session, and that works."""
    with agent.connect() as connection:
        assert abs(float(connection.call("edgetune.clock")) - time.time()) < 60


@pytest.mark.essential
@pytest.mark.parametrize(
    ("function", "failure"),
    [("segv", "SIGSEGV"), ("abort_", "SIGABRT"), ("exit7", "exit status 7"), ("exit0", "exit status 0")],
)
def test_a_crash_is_a_line_in_the_log_and_the_next_client_is_served(
    agent: Agent, troubled: Troubled, function: str, failure: str
) -> None:
    before = settled(agent)
    with agent.connect() as connection:
        library = troubled(connection)
        with pytest.raises(Exception):  # noqa: B017 - TVM raises several kinds when a connection ends
            library[function]()
        wait_for(lambda: connection.lost)
    serves(agent)
    after = agent.status()
    assert after["failed_sessions"] == before["failed_sessions"] + 1
    assert after["sessions"] == before["sessions"] + 2
    assert after["last_failure"] == failure
    assert after["uptime_s"] > before["uptime_s"]
    assert any(failure in line for line in agent.log.splitlines())


def endless(agent: Agent, troubled: Troubled, function: str) -> None:
    """Call what does not end, in a session whose limit ends it; on a slow machine before the call has begun."""
    with pytest.raises(Exception), agent.connect(limit=1.5) as connection:  # noqa: B017
        troubled(connection)[function]()


@pytest.mark.essential
def test_an_endless_candidate_ends_with_the_limit_that_its_client_asked_for(agent: Agent, troubled: Troubled) -> None:
    failed = settled(agent)["failed_sessions"]
    endless(agent, troubled, "spin")
    serves(agent)
    status = agent.status()
    assert (status["failed_sessions"], status["last_failure"]) == (failed + 1, "time limit")


@pytest.mark.essential
@pytest.mark.parametrize("function", ["spin", "sleep_"])
def test_an_endless_candidate_ends_when_its_client_has_gone(agent: Agent, troubled: Troubled, function: str) -> None:
    failed = settled(agent)["failed_sessions"]
    connection = agent.connect()
    library = troubled(connection)

    def call() -> None:
        with contextlib.suppress(Exception):
            library[function]()

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.2)
    assert agent.status()["state"] == "busy"
    connection.close()
    thread.join()
    assert settled(agent)["failed_sessions"] == failed, "that a client goes is no failure"


def test_what_a_session_has_started_ends_with_it(agent: Agent, troubled: Troubled) -> None:
    before = set(agent.processes())  # one of the last test's session may still be ending
    with agent.connect() as connection:
        child = int(troubled(connection)["start"]())
        assert alive(child)
        wait_for(lambda: len(set(agent.processes()) - before) >= 3)
    wait_for(lambda: not alive(child) and before.issuperset(agent.processes()))
    with agent.connect() as connection:
        library = troubled(connection)
        child = int(library["start"]())
        with pytest.raises(Exception):  # noqa: B017
            library["segv"]()
    wait_for(lambda: not alive(child) and before.issuperset(agent.processes()))


@pytest.mark.essential
def test_nothing_of_a_session_is_left_for_the_next(agent: Agent, troubled: Troubled, tmp_path: Path) -> None:
    with agent.connect() as connection:
        library = troubled(connection)
        assert library["calls"]() == 1 and library["calls"]() == 2
        folder = Path(str(connection.call("tvm.rpc.server.workpath", ".")))
        connection.call("edgetune.append", "kept.txt", bytearray(b"kept"))
        assert (folder / "kept.txt").exists()
        library["litter"]()
        assert library["has_litter"]() == 1
        first = library["pid"]()
    with agent.connect() as connection:
        library = troubled(connection)
        assert library["calls"]() == 1
        assert library["has_litter"]() == 0
        assert library["pid"]() != first
        with pytest.raises(EdgetuneError, match=r"kept\.txt"):
            connection.call("edgetune.sha256", "kept.txt")
    wait_for(lambda: not folder.exists())


def test_a_session_volunteers_where_memory_runs_out(agent: Agent, troubled: Troubled) -> None:
    with agent.connect() as connection:
        assert troubled(connection)["oom_score"]() == 1000


def test_a_memory_limit_ends_who_takes_more(kind: Kind, troubled: Troubled) -> None:
    with agents.running(kind, "--memory-limit", "1073741824") as limited:
        with limited.connect() as connection:
            library = troubled(connection)
            with pytest.raises(Exception):  # noqa: B017
                library["eat"]()
        serves(limited)
        wait_for(lambda: limited.resident_bytes() < 1 << 29)


def test_endless_output_fills_nothing(agent: Agent, troubled: Troubled) -> None:
    settled(agent)
    lines, memory = len(agent.log), agent.resident_bytes()
    endless(agent, troubled, "print")
    serves(agent)
    assert len(agent.log) - lines < 10_000
    wait_for(lambda: agent.resident_bytes() - memory < 8 << 20)  # the last session may still be ending


@pytest.mark.essential
def test_status_tells_who_is_served_and_for_how_long(agent: Agent) -> None:
    before = settled(agent)
    assert before["client"] is None and before["session_seconds"] is None
    began = time.monotonic()
    with agent.connect():
        time.sleep(0.1)
        status = agent.status()
        assert status["state"] == "busy" and status["client"].startswith("127.0.0.1:")
        assert 0.05 < status["session_seconds"] <= time.monotonic() - began
        assert status["identity"]["cores"] >= 1 and "celsius" in status["sensors"]
    wait_for(lambda: agent.status()["state"] == "free")


def waiting(agent: Agent) -> socket.socket:
    """A client that has asked for a session, and is in the queue."""
    sock = socket.create_connection(agent.address, timeout=60)
    sock.sendall(wire.pack_int(wire.MAGIC) + wire.pack_text(wire.SESSION))
    for _ in range(2):  # it may have been at the first question when the client came
        assert agent.status()["state"] == "busy"
    return sock


def test_clients_wait_their_turn_and_one_that_leaves_is_passed_over(agent: Agent) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(agent.connect())
        clients = [stack.enter_context(waiting(agent))]
        for attempt in attempts(2.0):  # the board has so long to say who is there
            with attempt, pytest.raises(EdgetuneError, match="has been at work for"):
                connect(Way(agent.address), patience=0.3)
        clients += [stack.enter_context(waiting(agent)) for _ in range(2)]
        assert select.select(clients, [], [], 0)[0] == []
        first.close()
        while clients:
            assert wire.receive_int(clients[0]) == wire.MAGIC
            assert select.select(clients[1:], [], [], 0)[0] == []
            clients.pop(0).close()


def test_what_is_left_of_a_session_does_not_end_the_next_one(agent: Agent) -> None:
    """An agent that gets no processor for a while hears at once of a session's end and of the next client, whose
    connection may get the number of the last one's."""
    first = agent.connect()
    os.kill(agent.process.pid, signal.SIGSTOP)
    try:
        first.close()
        time.sleep(0.3)
        client = socket.create_connection(agent.address, timeout=60)
        client.sendall(wire.pack_int(wire.MAGIC) + wire.pack_text(wire.SESSION))
    finally:
        os.kill(agent.process.pid, signal.SIGCONT)
    with client:
        assert wire.receive_int(client) == wire.MAGIC
        wire.receive_text(client)
        client.settimeout(0.6)
        with pytest.raises(TimeoutError):
            client.recv(1)
    settled(agent)


def test_a_stock_client_is_served(agent: Agent, troubled: Troubled, trouble_library: Path) -> None:
    from tvm import rpc

    remote = rpc.connect(agent.address.host, agent.address.port, key="", session_timeout=60)
    remote.upload(str(trouble_library))
    assert remote.load_module(trouble_library.name)["calls"]() == 1
    assert bytes(remote.download(trouble_library.name)) == trouble_library.read_bytes()
    del remote
    wait_for(lambda: agent.status()["state"] == "free")
