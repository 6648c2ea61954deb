"""Where a board is, as users of ssh and scp write it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from compiler.errors import UsageError

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+\\-]*\$?")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\]")
_HOST_AND_PORT = re.compile(rf"(?P<host>{_HOST.pattern})(?::(?P<port>[0-9]*))?")
_SCHEME = "ssh://"


@dataclass(frozen=True)
class SshAddress:
    """A board: a host or an alias of ~/.ssh/config, and what was given with it; None is left to ~/.ssh/config.

    `path` is a folder on the board: absolute, or relative to the user's home (`.` is the home itself).
    """

    host: str
    user: str | None = None
    port: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")

    @property
    def command(self) -> str:
        """The `ssh` command that leads there, for a user to type."""
        port = f"-p {self.port} " if self.port else ""
        return f"ssh {port}{self.user + '@' if self.user else ''}{self.host}"


def parse(text: str) -> SshAddress:
    """`board`, `user@board`, `user@board:2222` or `ssh://user@board:2222/path`. Raises UsageError for anything else."""
    text = text.strip()
    if text.startswith(_SCHEME):
        return _parse_url(text)
    return _parse_authority(text, text)


def parse_destination(text: str) -> SshAddress:
    """A folder on a board: `ssh://user@board:2222/path`, or `user@board:path` as scp takes it; `path` is never None.

    Raises UsageError for anything else, and where no folder is named.
    """
    text = text.strip()
    if text.startswith(_SCHEME):
        address = _parse_url(text)
        if address.path is None:
            raise UsageError(f"{text} names no folder on the board: add one, such as {text.rstrip('/')}/opt/models")
        return address
    match = re.fullmatch(rf"(?P<board>(?:[^@:/]*@)?(?:{_HOST.pattern})):(?P<path>.*)", text)
    if match is None or not match["path"]:
        board = _parse_authority(text.rstrip(":"), text)
        raise UsageError(f"{text} names no folder on the board: give ssh://{board}/FOLDER, or BOARD:FOLDER as for scp")
    board = _parse_authority(match["board"], text)
    if match["path"].isdigit():
        raise UsageError(f"{text}: for a port, write ssh://{board}:{match['path']}/FOLDER")
    return SshAddress(board.host, board.user, board.port, _folder(match["path"], text))


def _parse_url(text: str) -> SshAddress:
    authority, slash, path = text.removeprefix(_SCHEME).partition("/")
    board = _parse_authority(authority, text)
    if path == "~" or path.startswith("~/"):
        return SshAddress(board.host, board.user, board.port, _folder(path, text))
    return SshAddress(board.host, board.user, board.port, _folder(slash + path, text) if path else None)


def _parse_authority(authority: str, text: str) -> SshAddress:
    user, at, place = authority.rpartition("@")
    if ":" in user:
        raise UsageError(
            f"{user.partition(':')[0]}:...@{place}: no password on the command line; use a key, or ssh-agent"
        )
    match = _HOST_AND_PORT.fullmatch(place)
    port = int(match["port"]) if match and match["port"] else None
    if match is None or (at and not _USER.fullmatch(user)) or (port is not None and not 1 <= port <= 65535):
        raise UsageError(f"{text!r} is no board: give USER@BOARD, USER@BOARD:PORT or ssh://USER@BOARD:PORT")
    return SshAddress(match["host"].strip("[]"), user or None, port)


def _folder(path: str, text: str) -> str:
    if not path.isprintable():
        raise UsageError(f"{text!r}: a folder's name has characters that cannot be printed")
    if path == "~" or path.startswith("~/"):
        path = path[2:].lstrip("/") or "."
    elif path.startswith("~"):
        raise UsageError(f"{text}: folders of other users cannot be named by {shlex.quote(path)}; write the whole path")
    return path.rstrip("/") or ("/" if path.startswith("/") else ".")
