"""A push or a pull whose parts are counted, in a process of its own that waits halfway to be killed.

`python -m tests.records.remote.transfer` takes push or pull, the folder that users' stores lie in, the user's name,
the remote as JSON ({"kind": ...}), and in which part, from 1, it stops for ever. It prints a line for each part before
it goes or comes, and `done` at the end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from compiler.records.remote.files import FileRemote
from compiler.records.remote.folder import FolderRemote
from compiler.records.remote.names import PARTS
from compiler.records.remote.objects import ObjectRemote
from compiler.records.remote.pull import pull
from compiler.records.remote.push import push
from compiler.records.remote.sftp import SftpRemote
from tests.records.remote.users import user


def opened(about: dict[str, Any]) -> FileRemote:
    """The remote that a fixture described."""
    if about["kind"] == "folder":
        return FolderRemote(Path(about["path"]))
    if about["kind"] == "s3":
        return ObjectRemote(about["url"])
    return SftpRemote(about["url"], known_hosts=Path(about["known_hosts"]), config=Path(about["config"]))


def watched(remote: FileRemote, told: Callable[[str], None], held: int = 0) -> None:
    """Tells of each part before it goes or comes; the one of number `held` stays where half of its bytes are here."""
    put, chunks = remote.put, remote.chunks
    begun: list[str] = []

    def begin(path: str) -> None:
        if path.startswith(f"{PARTS}/"):
            begun.append(path)
            told(path)

    def hold() -> None:
        while len(begun) == held:
            time.sleep(1)

    def watched_put(path: str, source: Path | bytes) -> None:
        begin(path)
        put(path, source)
        hold()

    def watched_chunks(path: str) -> Iterator[bytes]:
        begin(path)
        for chunk in chunks(path):
            yield chunk[: len(chunk) // 2]
            hold()
            yield chunk[len(chunk) // 2 :]

    remote.put, remote.chunks = watched_put, watched_chunks  # type: ignore[method-assign]
    remote.workers = 1


def transfer(
    what: str, folder: Path, name: str, about: dict[str, Any], told: Callable[[str], None], held: int = 0
) -> None:
    """A push or a pull that is watched."""
    with user(folder, name) as store, opened(about) as remote:
        watched(remote, told, held)
        if what == "push":
            push(store, remote)
        else:
            report = pull(store, remote)
            assert report.refused == [], report.refused


def main(what: str, folder: str, name: str, about: str, held: str) -> None:
    transfer(what, Path(folder), name, json.loads(about), lambda path: print(path, flush=True), int(held))
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
