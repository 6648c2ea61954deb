"""Commands and files over a connection that breaks: a line, and nothing of asyncio's own."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compiler.errors import EdgetuneError
from compiler.runtime.ssh.address import parse
from compiler.runtime.ssh.link import Link
from tests.runtime.ssh.server import ALIAS, Server


def endless(path: Path, link: Link) -> Iterator[bytes]:
    """Data for `path`; the connection is reset when some of it has arrived."""
    while not path.exists() or not path.stat().st_size:
        yield bytes(1 << 18)
    link.connection.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
    while True:
        yield bytes(1 << 18)


@pytest.mark.parametrize(
    "work",
    [
        lambda link, path: link.write(str(path), endless(path, link)),
        lambda link, path: link.run(f"cat > {path}", b"".join([*_some(path, link)])),
    ],
    ids=["write", "run"],
)
def test_a_reset_is_one_line(board: Server, work: Callable[[Link, Path], Awaitable[Any]]) -> None:
    said: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(str(context)))
        link = await Link.open(parse(ALIAS), known_hosts=board.known_hosts, config=board.config)
        with pytest.raises(EdgetuneError, match="the connection to .* ended"):
            await work(link, board.home / "large")
        await link.close()
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()
    assert said == []


def _some(path: Path, link: Link) -> Iterator[bytes]:
    asyncio.get_running_loop().call_later(
        0.2, link.connection.connection_lost, ConnectionResetError(104, "Connection reset by peer")
    )
    yield bytes(256 << 20)
