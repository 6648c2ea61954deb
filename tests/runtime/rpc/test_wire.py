"""Bytes before TVM's RPC: what is sent is what is read, and what is not the protocol ends with a WireError."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UsageError
from compiler.runtime.rpc import wire
from compiler.runtime.rpc.address import Address, check_key, parse_address


def _sent(data: bytes) -> socket.socket:
    """The receiving end of a connection whose other end sent `data` and closed."""
    ours, theirs = socket.socketpair()
    ours.sendall(data)
    ours.close()
    return theirs


@given(st.text(max_size=200))
def test_a_text_arrives_as_it_was_sent(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    with _sent(wire.pack_text(text)) as sock:
        assert wire.receive_text(sock) == text


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=8))
def test_json_arrives_as_it_was_sent(value: object) -> None:
    with _sent(wire.pack_text(json.dumps(value))) as sock:
        assert wire.receive_json(sock) == value


@given(st.binary(max_size=64))
def test_any_bytes_are_a_value_or_a_wire_error(data: bytes) -> None:
    for receive in (wire.receive_int, wire.receive_text, wire.receive_json):
        with _sent(data) as sock:
            try:
                receive(sock)
            except wire.WireError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize("size", [-1, wire.MAX_JSON + 1, 2**31 - 1])
def test_a_length_beyond_reason_is_not_waited_for(size: int) -> None:
    with _sent(wire.pack_int(size)) as sock, pytest.raises(wire.WireError, match="announced"):
        wire.receive_text(sock)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("board", ("board", 9090)),
        ("board.local:1234", ("board.local", 1234)),
        ("192.168.1.20:9", ("192.168.1.20", 9)),
        ("[::1]:9091", ("::1", 9091)),
        ("[fe80::1]", ("fe80::1", 9090)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text, 9090) == address
    assert parse_address(str(Address(*address)), 1) == address


@pytest.mark.parametrize("text", ["", ":9090", "board:", "board:0", "board:65536", "a b", "user@board", "::1", "b:1:2"])
def test_what_is_no_address_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        parse_address(text, 9090)


@pytest.mark.parametrize("key", ["", "a b", "a:b", "x" * 65, "ключ", "a/b"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="is no key"):
        check_key(key)
