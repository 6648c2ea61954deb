"""How boards are written."""

from __future__ import annotations

import pytest

from compiler.errors import UsageError
from compiler.runtime.ssh.address import SshAddress, parse, parse_destination


@pytest.mark.parametrize(
    ("text", "board"),
    [
        ("board", SshAddress("board")),
        ("user@board", SshAddress("board", "user")),
        ("user@board:2222", SshAddress("board", "user", 2222)),
        ("user@192.168.1.20", SshAddress("192.168.1.20", "user")),
        ("user@[fe80::1%eth0]:22", SshAddress("fe80::1%eth0", "user", 22)),
        ("ssh://user@board", SshAddress("board", "user")),
        ("ssh://user@board:2222/opt/models/", SshAddress("board", "user", 2222, "/opt/models")),
        ("ssh://user@board:/opt/models", SshAddress("board", "user", None, "/opt/models")),
        ("ssh://board/~/models", SshAddress("board", None, None, "models")),
    ],
)
def test_a_board(text: str, board: SshAddress) -> None:
    assert parse(text) == board


@pytest.mark.parametrize(
    ("text", "board"),
    [
        ("ssh://user@board:2222/opt/models", SshAddress("board", "user", 2222, "/opt/models")),
        ("ssh://user@board:/opt/models", SshAddress("board", "user", None, "/opt/models")),
        ("user@board:/opt/my models", SshAddress("board", "user", None, "/opt/my models")),
        ("board:models", SshAddress("board", None, None, "models")),
        ("board:~", SshAddress("board", None, None, ".")),
        ("board:~/a:b", SshAddress("board", None, None, "a:b")),
        ("user@[::1]:/", SshAddress("::1", "user", None, "/")),
    ],
)
def test_a_folder_on_a_board(text: str, board: SshAddress) -> None:
    assert parse_destination(text) == board


@pytest.mark.parametrize(
    "text",
    ["", "user@", "-oProxyCommand=x", "user@-x", "a b", "board:99999", "board:x", "@board", "http://board", "ssh://"],
)
def test_no_board(text: str) -> None:
    with pytest.raises(UsageError, match="is no board"):
        parse(text)


@pytest.mark.parametrize("text", ["user@board", "board:", "ssh://user@board:22", "ssh://board/"])
def test_no_folder(text: str) -> None:
    with pytest.raises(UsageError, match="names no folder"):
        parse_destination(text)


def test_a_port_where_scp_has_none() -> None:
    with pytest.raises(UsageError, match="for a port, write ssh://user@board:2222/FOLDER"):
        parse_destination("user@board:2222")


@pytest.mark.parametrize("text", ["user:secret@board", "ssh://user:secret@board/opt"])
def test_no_passwords(text: str) -> None:
    with pytest.raises(UsageError, match="no password on the command line") as raised:
        parse(text)
    assert "secret" not in str(raised.value)


def test_what_a_user_types() -> None:
    assert parse("user@board:2222").command == "ssh -p 2222 user@board"
    assert str(parse("user@[::1]:2222")) == "user@[::1]:2222"
