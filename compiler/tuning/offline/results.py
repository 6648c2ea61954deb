"""The file that is carried back from a board: written so that nothing of it is lost when the power goes, read as what
a stranger may have written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from compiler.errors import EdgetuneError
from compiler.packaging.archive import sync_folder
from compiler.records.exchange.reading import numbered_lines
from compiler.runtime.rpc.identity import Identity, board_device, decode_identity
from compiler.tuning.offline.schema import MAX_JOBS, MAX_LINE_BYTES, Result, ResultsHead, decode, encode

_MAX_RESULT_BYTES = 64 << 10  # a line; the first one is longer
_FIRST = (b'{"batch":', b'{"schema":1,"batch":')  # how the first line begins, as the two agents write it


@dataclass(frozen=True)
class Results:
    """What a file of results holds, and whether its last line is `torn`: that one is left out."""

    path: Path
    head: ResultsHead
    identity: Identity
    results: list[Result]
    torn: bool


def read_results(path: Path) -> Results:
    """Read `path`. Raises EdgetuneError, in one line, where any of its whole lines is not what it should be."""
    head: ResultsHead | None = None
    found: dict[str, Result] = {}
    torn = False
    for number, line, ended in numbered_lines(path, MAX_LINE_BYTES):
        where = f"{path}, line {number}"
        if line is None or (number > 1 and len(line) > _MAX_RESULT_BYTES):
            raise EdgetuneError(f"{where}: it is too long for a result")
        if not ended:  # it was being written when the power went, or the file was copied meanwhile
            torn = True
            break
        if head is None:
            head = decode(line, ResultsHead, where)
        else:
            result = decode(line, Result, where)
            known = found.setdefault(result.id, result)
            if known != result:
                raise EdgetuneError(f"{where}: there are two results of the job {result.id}")
            if len(found) > MAX_JOBS:
                raise EdgetuneError(f"{where}: a batch has at most {MAX_JOBS} jobs")
    if head is None:
        raise EdgetuneError(f"{path} holds no results of `edgetune measure`")
    try:
        identity = decode_identity(head.identity)
    except EdgetuneError as error:
        raise EdgetuneError(f"{path}, line 1: {error}") from None
    return Results(path, head, identity, list(found.values()), torn)


class ResultsFile:
    """Results as they come: each is on disk when `add` returns."""

    def __init__(self, path: Path, batch: str, identity: dict[str, object]) -> None:
        """Begin the results of `batch` on the board that says `identity` of itself, or go on with those in `path`.

        Raises EdgetuneError where what is there is something else, and where it cannot be written.
        """
        self.path = path
        self.done: dict[str, Result] = {}
        """What has been measured so far, by job."""
        before = _begun(path)
        if before is not None:
            _must_continue(before, batch, decode_identity(identity))
            self.done = {result.id: result for result in before.results}
        try:
            self._file = _opened(path)
            if before is None:
                self._write(encode(ResultsHead(batch=batch, identity=identity)))
                sync_folder(path.absolute().parent)
        except OSError as error:
            raise EdgetuneError(f"cannot write {path}: {error.strerror or error}") from None

    def add(self, result: Result) -> None:
        """Keep a result. Raises EdgetuneError where the disk refuses."""
        try:
            self._write(encode(result))
        except OSError as error:
            raise EdgetuneError(f"cannot write {self.path}: {error.strerror or error}") from None
        self.done[result.id] = result

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())


def _begun(path: Path) -> Results | None:
    """What is in `path`; None where there is nothing, or less than a first line of ours."""
    if path.is_dir():
        raise EdgetuneError(f"cannot write {path}: it is a folder")
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_LINE_BYTES)
        if not first.endswith(b"\n") and any(first.startswith(begins[: len(first)]) for begins in _FIRST):
            return None  # the power went at once
        return read_results(path)
    except OSError as error:
        raise EdgetuneError(f"cannot read {path}: {error.strerror}") from None
    except EdgetuneError as error:
        raise EdgetuneError(f"{error}; give another name for the results, or remove that file") from None


def _must_continue(before: Results, batch: str, identity: Identity) -> None:
    """Raises EdgetuneError unless results that were begun are of this batch and of this board."""
    if before.head.batch != batch:
        raise EdgetuneError(f"{before.path} holds the results of another batch: give another name for these")
    then = before.identity
    for what, one, other in (
        ("machine", then.machine, identity.machine),
        ("processor", board_device(then), board_device(identity)),
        ("number of cores", then.cores, identity.cores),
        ("TVM", then.tvm, identity.tvm),
        ("board", then.board, identity.board),
    ):
        if one != other:
            raise EdgetuneError(
                f"{before.path} was begun on another board, whose {what} is {one} and not {other}: give another name"
            )


def _opened(path: Path) -> BinaryIO:
    """The file to write on, after its last whole line."""
    if not path.exists():
        return path.open("xb")
    file = path.open("r+b")
    try:
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
    except BaseException:
        file.close()
        raise
    return file
