"""An agent at a tracker: it is known there, given away, and comes back whatever happens to either."""

from __future__ import annotations

import socket
import time

import pytest

from compiler.errors import EdgetuneError
from compiler.runtime.rpc import tracker as asked
from compiler.runtime.rpc.address import Way
from compiler.runtime.rpc.connect import connect
from tests.runtime.agent import agents
from tests.runtime.agent.agents import Kind
from tests.runtime.tracker import trackers
from tests.waiting import wait_for


def knows(tracker: trackers.Tracker) -> list[asked.KnownBoard]:
    try:
        return asked.boards(tracker.address)
    except EdgetuneError:
        return []


@pytest.mark.essential
def test_sessions_come_through_the_tracker_and_only_so(kind: Kind) -> None:
    with trackers.running() as tracker:
        with agents.running(kind, "--key", "orin", "--tracker", str(tracker.address)) as agent:
            wait_for(lambda: knows(tracker))
            [board] = knows(tracker)
            assert (board.key, board.address.port) == ("orin", agent.address.port)
            assert board.status is not None and board.status["identity"]["agent"] == agent.status()["identity"]["agent"]
            way = Way(tracker.address, "orin")
            for _ in range(3):
                with connect(way) as connection:
                    assert float(connection.call("edgetune.clock")) > 0
                    assert agent.status()["state"] == "busy"
                    with pytest.raises(EdgetuneError, match="no board of orin became free"):
                        connect(way, patience=0.4)
            for key in ("", "orin", "orin:0.5"):
                with pytest.raises(EdgetuneError, match="takes no such session"):
                    connect(Way(agent.address, None)) if not key else _with_key(agent, key)
        wait_for(lambda: not knows(tracker))


def test_it_registers_again_when_its_tracker_has_restarted(kind: Kind) -> None:
    with trackers.running() as first:
        port = first.address.port
        with agents.running(kind, "--tracker", f"localhost:{port}") as agent:
            wait_for(lambda: knows(first))
            way = Way(first.address, "edgetune")
            with connect(way) as held:
                first.process.kill()
                first.process.wait()
                with trackers.running(port) as second:
                    wait_for(lambda: knows(second))
                    assert float(held.call("edgetune.clock")) > 0, "the session is none of the tracker's business"
                    with pytest.raises(EdgetuneError, match="no board of edgetune became free"):
                        connect(way, patience=0.4)
                    held.close()
                    with connect(way) as connection:
                        assert float(connection.call("edgetune.clock")) > 0
            assert agent.process.poll() is None


def test_a_board_that_was_taken_by_nobody_is_offered_again(kind: Kind) -> None:
    with trackers.running() as tracker, agents.running(kind, "--tracker", str(tracker.address)):
        wait_for(lambda: knows(tracker))
        began = time.monotonic()
        _grant, sock = asked.request(tracker.address, "edgetune", 60)
        sock.close()
        with connect(Way(tracker.address, "edgetune"), patience=60) as connection:
            assert float(connection.call("edgetune.clock")) > 0
        assert time.monotonic() - began > 3


def test_a_tracker_that_speaks_otherwise_is_tried_again_and_the_agent_goes_on(kind: Kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        with agents.running(kind, "--tracker", f"127.0.0.1:{server.getsockname()[1]}") as agent:
            for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x71\xf2\x02\x00\xff\xff\xff\x7f", b""):
                sock, _ = server.accept()
                sock.sendall(answer)
                sock.close()
                assert agent.status()["state"] == "free"


def test_boards_of_one_key_work_side_by_side(kind: Kind) -> None:
    with trackers.running() as tracker:
        options = ("--key", "pair", "--tracker", str(tracker.address))
        with agents.running(kind, *options) as one, agents.running(kind, *options) as other:
            wait_for(lambda: len(knows(tracker)) == 2)
            way = Way(tracker.address, "pair")
            with connect(way) as first, connect(way) as second:
                assert {first.address.port, second.address.port} == {one.address.port, other.address.port}


def _with_key(agent: agents.Agent, key: str) -> None:
    from compiler.runtime.rpc.connect import _open

    _open(agent.address, key, None, 5.0, None)
