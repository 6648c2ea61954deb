"""The tracker: whatever strangers send or leave undone, boards register and desks get them."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from compiler.errors import EdgetuneError
from compiler.runtime.rpc import tracker as asked
from compiler.runtime.rpc import wire
from tests.runtime.tracker import trackers
from tests.runtime.tracker.trackers import Tracker
from tests.waiting import PATIENT_SECONDS, attempts, wait_for

GREETING = wire.pack_int(wire.TRACKER_MAGIC)
SUCCESS, PUT, REQUEST, UPDATE_INFO, SUMMARY, PENDING = 0, 3, 4, 5, 6, 7


@pytest.fixture(scope="module")
def tracker() -> Iterator[Tracker]:
    with trackers.running() as made:
        yield made
        assert made.process.poll() is None
        assert "Traceback" not in made.log


def greet(tracker: Tracker) -> socket.socket:
    sock = socket.create_connection(tracker.address, timeout=60)
    sock.sendall(GREETING)
    assert wire.receive_int(sock) == wire.TRACKER_MAGIC
    return sock


def ask(sock: socket.socket, *question: Any) -> Any:
    wire.send_json(sock, list(question))
    return wire.receive_json(sock)


def register(tracker: Tracker, key: str, number: int = 1) -> socket.socket:
    """A board of `key`, free, as an agent registers."""
    sock = greet(tracker)
    assert ask(sock, UPDATE_INFO, {"key": f"server:{key}", "addr": [None, 9000 + number]}) == SUCCESS
    assert ask(sock, PUT, key, [9000 + number, f"{key}:{number}"], None) == SUCCESS
    return sock


def works(tracker: Tracker, key: str) -> None:
    """A board registers, is given to who asks, and is forgotten when it goes."""
    with register(tracker, key):
        assert [board.address for board in asked.boards(tracker.address) if board.key == key] == [("127.0.0.1", 9001)]
        grant, sock = asked.request(tracker.address, key, 60)
        sock.close()
        assert grant == (("127.0.0.1", 9001), f"{key}:1")
    wait_for(lambda: all(board.key != key for board in asked.boards(tracker.address)))


def queue(tracker: Tracker, key: str) -> dict[str, Any]:
    """What the tracker knows of boards of `key`: how many are free, how many requests for them wait."""
    with greet(tracker) as sock:
        _code, summary = ask(sock, SUMMARY)
    known: dict[str, Any] = summary["queue_info"].get(key, {"free": 0, "pending": 0})
    return known


def gone(sock: socket.socket) -> bool:
    """Whether the tracker closes the connection; what it has said before is read and dropped."""
    try:
        while sock.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


def test_a_board_is_given_once_and_forgotten_when_it_goes(tracker: Tracker) -> None:
    works(tracker, "plain")
    with register(tracker, "once") as board:
        assert ask(board, PENDING) == ["once:1"]
        _grant, sock = asked.request(tracker.address, "once", 60)
        sock.close()
        assert ask(board, PENDING) == []
        with pytest.raises(EdgetuneError, match="no board of once became free"):
            asked.request(tracker.address, "once", 0.3)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_greeting_in_pieces_and_with_more_behind_it(tracker: Tracker, size: int) -> None:
    data = GREETING + wire.pack_text(json.dumps([SUMMARY]))
    for attempt in attempts(4.0):  # after five seconds it is closed
        with attempt, socket.create_connection(tracker.address, timeout=60) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for first in range(0, 4, size):
                sock.sendall(data[first : first + size] if first + size < 4 else data[first:])
                time.sleep(0.02)
            assert wire.receive_int(sock) == wire.TRACKER_MAGIC
            assert wire.receive_json(sock)[0] == SUCCESS


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        wire.pack_int(wire.MAGIC) + wire.pack_text("status:"),
        GREETING + wire.pack_int(2**31 - 1),
        GREETING + wire.pack_int(-5),
        GREETING + wire.pack_int(0),
        GREETING + wire.pack_int(4) + b"\xff\xfe\xfd\xfc",
        GREETING + wire.pack_text("no JSON"),
        GREETING + wire.pack_text("[" * 100_000),
        GREETING + wire.pack_text('{"code": 3}'),
        GREETING + wire.pack_text("[]"),
        GREETING + wire.pack_text("[99]"),
        GREETING + wire.pack_text('["3"]'),
        GREETING + wire.pack_text("[2]"),
    ],
)
def test_garbage_closes_its_connection_only(tracker: Tracker, data: bytes) -> None:
    with socket.create_connection(tracker.address, timeout=60) as sock:
        sock.sendall(data)
        assert gone(sock)
    works(tracker, "after-garbage")


@pytest.mark.parametrize(
    "message",
    [
        [PUT],
        [PUT, "k", [9000]],
        [PUT, "k", [9000, ["k:1"]]],
        [PUT, "k", ["9000", "k:1"]],
        [PUT, "k", [9000, "no colon"]],
        [PUT, "k", [9000, "other:1"]],
        [PUT, {"k": 1}, [9000, "k:1"]],
        [PUT, "k", [9000, "k:1"], 5],
        [PUT, "", [9000, ":1"]],
        [REQUEST],
        [REQUEST, ["k"], "user", 1],
        [REQUEST, "k", "user", "high"],
        [REQUEST, "k", "user", [1]],
        [UPDATE_INFO],
        [UPDATE_INFO, []],
        [UPDATE_INFO, {"key": "server:k"}],
        [UPDATE_INFO, {"key": 5, "addr": [None, 1]}],
        [UPDATE_INFO, {"key": "server:k", "addr": "x"}],
        [UPDATE_INFO, {"key": "server:k", "addr": [None, None]}],
        [UPDATE_INFO, {"key": "server:k", "addr": [None, 1], "more": "x" * 300_000}],
        [UPDATE_INFO, {"key": "server:k", "addr": [None, 1], "more": json.loads("[" * 200 + "]" * 200)}],
    ],
)
def test_what_cannot_be_is_refused(tracker: Tracker, message: list[Any]) -> None:
    with greet(tracker) as sock:
        wire.send_json(sock, message)
        assert gone(sock)
    works(tracker, "k")


def test_a_client_that_vanishes_while_it_waits_takes_no_board(tracker: Tracker) -> None:
    for _ in range(5):
        with greet(tracker) as sock:
            wire.send_json(sock, [REQUEST, "wanted", "somebody", 1])
        # Closed without having read an answer: there was none yet.
    for _ in range(3):  # by now it has heard that they went
        queue(tracker, "wanted")
    time.sleep(0.1)
    works(tracker, "wanted")


def test_a_board_that_never_said_who_it_is_is_forgotten_too(tracker: Tracker) -> None:
    with greet(tracker) as sock:
        assert ask(sock, PUT, "nameless", [9005, "nameless:1"], None) == SUCCESS
        assert queue(tracker, "nameless")["free"] == 1
    wait_for(lambda: queue(tracker, "nameless")["free"] == 0)
    with register(tracker, "nameless", 2):
        grant, sock = asked.request(tracker.address, "nameless", 60)
        sock.close()
        assert grant.match_key == "nameless:2"


def test_the_same_match_key_twice_is_no_trap(tracker: Tracker) -> None:
    with register(tracker, "twice") as board:
        assert ask(board, PUT, "twice", [9001, "twice:1"], None) == SUCCESS
        for _ in range(2):
            asked.request(tracker.address, "twice", 60)[1].close()
        assert ask(board, PENDING) == []
    works(tracker, "twice")


def test_a_client_that_never_reads_is_closed(tracker: Tracker) -> None:
    with greet(tracker) as board, greet(tracker) as sock:
        ask(board, UPDATE_INFO, {"key": "server:large", "addr": [None, 9000], "edgetune": {"text": "x" * 200_000}})
        question = wire.pack_text(json.dumps([SUMMARY])) * 100
        deadline = time.monotonic() + PATIENT_SECONDS
        with pytest.raises(OSError):
            while time.monotonic() < deadline:
                sock.sendall(question)
                time.sleep(0.01)
    works(tracker, "after-silence")


def test_idle_strangers_are_bounded_and_closed(tracker: Tracker) -> None:
    for attempt in attempts(3.0):
        with attempt:
            among_idle(tracker)


def among_idle(tracker: Tracker) -> None:
    idle = [socket.create_connection(tracker.address, timeout=60) for _ in range(300)]
    try:
        began = time.monotonic()
        works(tracker, "among-idle")
        assert time.monotonic() - began < 3
        assert gone(idle[0]), "the oldest made room"
        assert gone(idle[-1])
        assert 4 < time.monotonic() - began < 9
    finally:
        for sock in idle:
            sock.close()


def test_what_is_offered_and_taken_again_and_again_takes_no_memory(tracker: Tracker) -> None:
    with register(tracker, "long") as board:
        for number in range(2, 50):
            asked.request(tracker.address, "long", 60)[1].close()
            assert ask(board, PUT, "long", [9001, f"long:{number}"], None) == SUCCESS
        assert ask(board, PENDING) == ["long:49"]


def test_a_signal_ends_it() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with trackers.running() as made, greet(made):
            made.process.send_signal(number)
            assert made.process.wait(timeout=60) == 0
            assert "Traceback" not in made.log
