"""Folders that come into being in one step, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from compiler.errors import EdgetuneError
from compiler.runtime.ssh.address import parse
from compiler.runtime.ssh.link import Link
from compiler.runtime.ssh.staging import _CHECK, staging, sweep, why_not_whole
from tests.runtime.ssh.server import ALIAS, Server
from tests.waiting import wait_for

T = TypeVar("T")


@contextlib.asynccontextmanager
async def linked(board: Server) -> AsyncIterator[Link]:
    link = await Link.open(parse(ALIAS), known_hosts=board.known_hosts, config=board.config)
    try:
        yield link
    finally:
        await link.close()


def over(board: Server, work: Callable[[Link], Awaitable[T]]) -> T:
    """Do `work` over a connection to `board`."""

    async def connected() -> T:
        async with linked(board) as link:
            return await work(link)

    return asyncio.run(connected())


def files(text: str, **others: bytes) -> dict[str, Path | bytes]:
    """A folder's files, with their sums."""
    contents = {"text": text.encode(), **others}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in contents.items())
    return {"SHA256SUMS": sums.encode(), **contents}


async def put(link: Link, parent: Path, contents: Mapping[str, Path | bytes], *, replace: bool = True) -> None:
    async with staging(link, str(parent), "made") as stage:
        await stage.write(contents, "files")
        await stage.check()
        await stage.place(replace=replace)


def test_a_folder_is_made_and_replaced(board: Server) -> None:
    parent = board.home / "it's a folder" / "new"

    async def work(link: Link) -> None:
        assert await why_not_whole(link, f"{parent}/made") == "it is not there"
        await put(link, parent, files("old", gone=b"1"))
        assert (parent / "made" / "text").read_text() == "old"
        await put(link, parent, files("new"))
        assert await why_not_whole(link, f"{parent}/made") is None
        await put(link, parent, files("newer"), replace=False)
        assert (parent / "made" / "text").read_text() == "new"
        (parent / "made" / "text").write_text("damaged")
        await put(link, parent, files("newest"), replace=False)

    over(board, work)
    assert (parent / "made" / "text").read_text() == "newest"
    assert sorted(path.name for path in (parent / "made").iterdir()) == ["SHA256SUMS", "text"]
    assert [path.name for path in parent.iterdir()] == ["made"]


def test_replacing_without_an_exchange(board: Server) -> None:
    # What the mv of coreutils before 9.5, and busybox's, do.
    mv = board.bin / "mv"
    mv.write_text('#!/bin/sh\n[ "$1" = --exchange ] && exit 1\nexec /bin/mv "$@"\n')
    mv.chmod(0o755)

    async def work(link: Link) -> None:
        await put(link, board.home, files("old"))
        await put(link, board.home, files("new"))

    over(board, work)
    assert (board.home / "made" / "text").read_text() == "new"
    assert [path.name for path in board.home.iterdir()] == ["made"]


def test_what_arrives_wrong_is_not_put_in_place(board: Server) -> None:
    async def work(link: Link) -> None:
        await put(link, board.home, files("right"))
        with pytest.raises(EdgetuneError, match="is not what was sent: text: FAILED"):
            await put(link, board.home, {**files("right"), "text": b"wrong"})

    over(board, work)
    assert (board.home / "made" / "text").read_text() == "right"
    assert [path.name for path in board.home.iterdir()] == ["made"]


def test_a_board_with_busybox_alone(board: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.runtime.ssh.staging._CHECK", f"PATH={board.bin}\n{_CHECK}")

    async def work(link: Link) -> None:
        with pytest.raises(EdgetuneError, match="it has no sha256sum"):
            await put(link, board.home, files("right"))
        busybox = board.bin / "busybox"
        busybox.write_text('#!/bin/sh\nshift\nexec /usr/bin/sha256sum "$@"\n')
        busybox.chmod(0o755)
        await put(link, board.home, files("right"))

    over(board, work)
    assert (board.home / "made" / "text").read_text() == "right"


@pytest.mark.parametrize("mv", ["", '[ "$1" = --exchange ] && exit 1\n'], ids=["as installed", "without exchange"])
def test_many_desks_at_once(board: Server, mv: str) -> None:
    (board.bin / "mv").write_text(f'#!/bin/sh\n{mv}exec /bin/mv "$@"\n')
    (board.bin / "mv").chmod(0o755)

    async def desk(number: int) -> None:
        async with linked(board) as link:
            for _ in range(3):
                await sweep(link, str(board.home), "made")
                await put(link, board.home, files(f"{number}" * 100_000))

    async def work() -> None:
        await asyncio.gather(*(desk(number) for number in range(4)))

    asyncio.run(work())
    text = (board.home / "made" / "text").read_text()
    assert text == text[0] * 100_000
    wait_for(lambda: [path.name for path in board.home.iterdir()] == ["made"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_upload_leaves_nothing(own_server: Server, how: signal.Signals) -> None:
    async def work() -> None:
        async with linked(own_server) as link:
            with pytest.raises(EdgetuneError, match="connection to board ended"):
                async with staging(link, str(own_server.home), "made") as stage:
                    await stage.write({"half": b"x"}, "files")
                    assert (own_server.home / stage.part / "half").exists()
                    own_server.signal_connections(how)
                    await stage.write({"other half": b"x" * (64 << 20)}, "files")

    asyncio.run(work())
    wait_for(lambda: list(own_server.home.iterdir()) == [])


def test_what_a_board_left_that_lost_its_power_is_swept_up(board: Server) -> None:
    (board.home / "made.part-999999999-0123456789abcdef").mkdir()
    (board.home / "made.part-1-0123456789abcdef.old").mkdir()  # a number that another process has by now
    (board.home / "made.part-1-0123456789abcdef" / "deep").mkdir(parents=True)
    (board.home / "other.part-1-0123456789abcdef").mkdir()
    (board.home / "made.part-lock").symlink_to("999999999")

    async def work(link: Link) -> None:
        async with staging(link, str(board.home), "made") as stage:
            await sweep(link, str(board.home), "made")
            assert {path.name for path in board.home.iterdir() if path.is_dir()} == {
                stage.part,
                "other.part-1-0123456789abcdef",
            }
            await stage.place(replace=True)
        assert {path.name for path in board.home.iterdir()} == {"made", "other.part-1-0123456789abcdef"}

    over(board, work)


def test_a_full_disk(board: Server) -> None:
    async def work(link: Link) -> None:
        with pytest.raises(EdgetuneError, match="cannot write /dev/full on board: .*No space left"):
            await link.write("/dev/full", [b"x" * (1 << 20)])

    over(board, work)


def test_progress_is_told_where_somebody_watches(board: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.runtime.ssh.staging._TOLD_EVERY_SECONDS", 0.0)

    class Watched(list[str]):
        live = True
        __call__ = list.append

    said = Watched()

    async def work(link: Link) -> None:
        async with staging(link, str(board.home), "made") as stage:
            await stage.write({"zeros": bytes(24 << 20), "more": bytes(24 << 20)}, "zeros", said)

    over(board, work)
    assert said[0] == "Copying zeros (48 MiB)"
    assert said[-1] == "Copying zeros (48 MiB): 100 %"
    assert list(board.home.iterdir()) == []
