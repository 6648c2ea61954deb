"""A push or a pull whose parts are counted, in a process of its own slow enough to be killed halfway.

`python -m tests.records.remote.transfer` takes push or pull, the folder that users' stores lie in, the user's name,
and the remote as JSON ({"kind": ...}). It prints a line for each part before it goes or comes, and `done` at the end.
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

PAUSE_S = 0.05


def opened(about: dict[str, Any]) -> FileRemote:
    """The remote that a fixture described."""
    if about["kind"] == "folder":
        return FolderRemote(Path(about["path"]))
    if about["kind"] == "s3":
        return ObjectRemote(about["url"])
    return SftpRemote(about["url"], known_hosts=Path(about["known_hosts"]), config=Path(about["config"]))


def watched(remote: FileRemote, told: Callable[[str], None], pause_s: float = 0.0) -> None:
    """Tells of each part before it goes or comes, and has it take its time, half of its bytes being here."""
    put, chunks = remote.put, remote.chunks

    def watched_put(path: str, source: Path | bytes) -> None:
        if path.startswith(f"{PARTS}/"):
            told(path)
        put(path, source)
        time.sleep(pause_s)

    def watched_chunks(path: str) -> Iterator[bytes]:
        if path.startswith(f"{PARTS}/"):
            told(path)
        for chunk in chunks(path):
            yield chunk[: len(chunk) // 2]
            time.sleep(pause_s)
            yield chunk[len(chunk) // 2 :]

    remote.put, remote.chunks = watched_put, watched_chunks  # type: ignore[method-assign]
    remote.workers = 1


def transfer(
    what: str, folder: Path, name: str, about: dict[str, Any], told: Callable[[str], None], pause_s: float = 0.0
) -> None:
    """A push or a pull that is watched."""
    with user(folder, name) as store, opened(about) as remote:
        watched(remote, told, pause_s)
        if what == "push":
            push(store, remote)
        else:
            report = pull(store, remote)
            assert report.refused == [], report.refused


def main(what: str, folder: str, name: str, about: str) -> None:
    transfer(what, Path(folder), name, json.loads(about), lambda path: print(path, flush=True), PAUSE_S)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
