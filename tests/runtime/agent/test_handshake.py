"""The handshake's bytes, taken apart in whatever pieces they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.runtime.agent.handshake import Handshake, Request
from compiler.runtime.rpc import wire


def greeting(key: str) -> bytes:
    return wire.pack_int(wire.MAGIC) + wire.pack_text(key)


def taken(data: bytes, pieces: list[int] | None = None) -> tuple[Request | None, int]:
    """What becomes of `data` in pieces of at most such sizes, and how many bytes were taken."""
    handshake, at = Handshake(), 0
    sizes = iter(pieces or [])
    while at < len(data):
        size = min(handshake.wanted, next(sizes, 1 << 20), len(data) - at)
        request = handshake.take(data[at : at + size])
        at += size
        if request is not None:
            return request, at
    return None, at


@pytest.mark.parametrize(
    ("key", "request_"),
    [
        ("client:", Request("client:")),
        ("client:orin:0.5 -timeout=20", Request("client:orin:0.5", 20.0)),
        ("status:", Request("status:")),
        ("client: -unknown -timeout=2.5 -timeout=x", Request("client:", 2.5)),
        ("client: -timeout=-1", Request("client:")),
        ("client: -timeout=nan", Request("client:")),
        ("client: -timeout=inf", Request("client:")),
        ("client: -timeout=", Request("client:")),
    ],
)
def test_requests(key: str, request_: Request) -> None:
    assert taken(greeting(key))[0] == request_


@given(st.lists(st.integers(1, 5), max_size=60), st.binary(max_size=50))
def test_pieces_make_no_difference_and_nothing_beyond_is_taken(pieces: list[int], more: bytes) -> None:
    whole = greeting("client:orin -timeout=3")
    assert taken(whole + more, pieces) == (Request("client:orin", 3.0), len(whole))


@given(st.binary(max_size=1100))
def test_whatever_comes_is_a_request_or_an_error(data: bytes) -> None:
    for begin in (b"", wire.pack_int(wire.MAGIC)):
        try:
            request, count = taken(begin + data)
        except wire.WireError as error:
            assert "\n" not in str(error)
        else:
            assert request is not None or count == len(begin + data)
