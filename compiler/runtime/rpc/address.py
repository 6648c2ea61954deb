"""Where an agent or a tracker is, and how a board is reached."""

from __future__ import annotations

import re
from typing import NamedTuple

from compiler.errors import UsageError
from compiler.runtime.rpc.wire import KEY

_NAMED = re.compile(r"(?P<host>[^\s:\[\]/@]+|\[[0-9A-Fa-f:.%]+\])(?::(?P<port>[0-9]{1,5}))?")


class Address(NamedTuple):
    """A host, by name or number, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Way(NamedTuple):
    """How a board is reached: the address of its agent, or with `key` that of a tracker which knows boards of it.

    `name` is what the user calls the board, where the address is only the near end of a tunnel to it.
    """

    address: Address
    key: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        if self.name is not None:
            return self.name
        return f"{self.key} at the tracker {self.address}" if self.key is not None else str(self.address)


def parse_address(text: str, default_port: int) -> Address:
    """`HOST`, `HOST:PORT` or `[IPv6]:PORT`. Raises UsageError for anything else."""
    match = _NAMED.fullmatch(text.strip())
    port = int(match["port"] or default_port) if match else 0
    if match is None or not 1 <= port <= 65535:
        raise UsageError(f"{text!r} is no address: give HOST:PORT, such as 192.168.1.20:{default_port}")
    return Address(match["host"].strip("[]"), port)


def check_key(key: str) -> str:
    """`key`, if a board can be called so. Raises UsageError otherwise."""
    if not KEY.fullmatch(key):
        raise UsageError(f"{key!r} is no key: give 1 to 64 letters, digits, dots, underscores or hyphens")
    return key
