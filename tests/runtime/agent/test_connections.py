"""Connections: strangers, silence and garbage hold up nobody."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from compiler.runtime.rpc import wire
from compiler.runtime.rpc.connect import Connection
from tests.runtime.agent.agents import Agent
from tests.runtime.agent.test_sessions import serves
from tests.waiting import attempts, wait_for

Troubled = Callable[[Connection], Any]

HELLO = wire.pack_int(wire.MAGIC)
NOT_UTF8 = HELLO + wire.pack_int(9) + b"client:\xff\xfe"
MALFORMED = {
    "other bytes": b"GET / HTTP/1.1\r\n\r\n",
    "the tracker's greeting": wire.pack_int(wire.TRACKER_MAGIC),
    "a huge length": HELLO + wire.pack_int(2**31 - 1),
    "a negative length": HELLO + wire.pack_int(-1),
    "no key": HELLO + wire.pack_int(0),
    "a key that is too long": HELLO + wire.pack_text("client:" + "k" * wire.MAX_KEY),
    "a key that is not UTF-8": NOT_UTF8,
    "spaces for a key": HELLO + wire.pack_text("   "),
    "a word that there is not": HELLO + wire.pack_text("server:edgetune"),
}


def dial(agent: Agent) -> socket.socket:
    sock = socket.create_connection(agent.address, timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def closed(sock: socket.socket) -> bool:
    """Whether the other side closes without having said anything."""
    try:
        return sock.recv(1) == b""
    except ConnectionError:  # it had not read all that was sent
        return True


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_no_handshake_is_closed_at_once(agent: Agent, what: str) -> None:
    for attempt in attempts(2.0):
        with attempt, dial(agent) as sock:
            sock.sendall(MALFORMED[what])
            began = time.monotonic()
            assert closed(sock)
            assert time.monotonic() - began < 2, "it was closed for its silence, not for what it said"
    serves(agent)


@pytest.mark.essential
def test_another_key_is_refused(agent: Agent) -> None:
    for key in ("other", "edgetune:0.123", "k" * (wire.MAX_KEY - len(wire.SESSION))):
        with dial(agent) as sock:
            sock.sendall(HELLO + wire.pack_text(f"{wire.SESSION}{key}"))
            assert wire.receive_int(sock) == wire.MISMATCH
            assert closed(sock)


def test_a_handshake_in_pieces_is_one(agent: Agent) -> None:
    for attempt in attempts(4.0):  # after five seconds it is closed
        with attempt, dial(agent) as sock:
            for byte in HELLO + wire.pack_text("client:edgetune -unknown -timeout=nonsense -timeout=30"):
                sock.sendall(bytes([byte]))
                time.sleep(0.002)
            assert wire.receive_int(sock) == wire.MAGIC
            assert wire.receive_text(sock) == "server:edgetune"
    wait_for(lambda: agent.status()["state"] == "free")


@pytest.mark.essential
def test_garbage_after_the_handshake_ends_that_session_only(agent: Agent) -> None:
    noise = random.Random(0)
    for size in (3, 100, 10_000):
        with dial(agent) as sock:
            sock.sendall(HELLO + wire.pack_text("client:"))
            assert wire.receive_int(sock) == wire.MAGIC
            wire.receive_text(sock)
            sock.sendall(noise.randbytes(size))
            sock.shutdown(socket.SHUT_WR)
            while not closed(sock):
                pass
    serves(agent)


def test_garbage_along_with_the_handshake_ends_that_session_only(agent: Agent) -> None:
    with dial(agent) as sock:
        sock.sendall(HELLO + wire.pack_text("client:") + b"\xff" * 5000)
        assert wire.receive_int(sock) == wire.MAGIC
    serves(agent)


def test_silence_ends_after_five_seconds_and_holds_up_nobody(agent: Agent) -> None:
    for attempt in attempts(4.0):
        with attempt, dial(agent) as silent, dial(agent) as half:
            began = time.monotonic()
            half.sendall(NOT_UTF8[:10])
            serves(agent)
            assert time.monotonic() - began < 4
            for sock in (silent, half):
                assert closed(sock)
                assert 4 < time.monotonic() - began < 8


@pytest.mark.essential
def test_two_hundred_idle_connections_while_a_session_works(agent: Agent, troubled: Troubled) -> None:
    with agent.connect() as connection:
        library = troubled(connection)
        for attempt in attempts(2.0):
            with attempt:
                _among_idle(agent, library["calls"])
    serves(agent)


def _among_idle(agent: Agent, calls: Callable[[], int]) -> None:
    idle = [dial(agent) for _ in range(200)]
    try:
        before = calls()
        began = time.monotonic()
        assert agent.status()["state"] == "busy"
        assert calls() == before + 1
        assert time.monotonic() - began < 2

        def still_open() -> int:
            return len(idle) - sum(_is_closed(sock) for sock in idle)

        # The newest are those that stay; the question for the status has pushed out one more.
        wait_for(lambda: still_open() <= 64, 4)
    finally:
        for sock in idle:
            sock.close()


def test_early_closes_are_nothing(agent: Agent) -> None:
    for number in range(200):
        with dial(agent) as sock:
            sock.sendall((HELLO + wire.pack_text("client:"))[: number % 15])
    serves(agent)


def test_clients_that_vanish_when_they_are_accepted(agent: Agent) -> None:
    for _ in range(20):
        with dial(agent) as sock:
            sock.sendall(HELLO + wire.pack_text("client:"))
    wait_for(lambda: agent.status()["state"] == "free")
    serves(agent)


def test_a_status_that_nobody_reads_holds_up_nobody(agent: Agent) -> None:
    socks = [dial(agent) for _ in range(20)]
    try:
        for sock in socks:
            sock.sendall(HELLO + wire.pack_text("status:"))
        serves(agent)
    finally:
        for sock in socks:
            sock.close()


def _is_closed(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
