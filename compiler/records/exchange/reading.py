"""Lines of a file that may be hostile or torn: bounded, numbered."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from compiler.errors import EdgetuneError
from compiler.records.exchange.lines import MAX_LINE_BYTES


def numbered_lines(path: Path, limit: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes | None, bool]]:
    """Yields (number from 1, line without its newline, whether it ended in one); None for a line beyond `limit` bytes.

    Memory stays bounded by `limit`. Raises EdgetuneError when the file cannot be read.
    """
    with _opened(path) as file:
        number = 0
        while line := file.readline(limit + 1):
            number += 1
            whole = line.endswith(b"\n")
            if len(line) > limit and not whole:
                yield number, None, _skip_rest(file)
            else:
                yield number, line.rstrip(b"\r\n"), whole


def blocks(path: Path, size: int, limit: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes | None]]:
    """Yields (number of its first line, from 1; about `size` bytes of whole lines, of which the last in the file may
    lack its newline); None for a line beyond `limit` bytes.

    Memory stays bounded by `size` and `limit`. Raises EdgetuneError when the file cannot be read.
    """
    number = 1
    with _opened(path) as file:
        while data := file.read(size):
            if not data.endswith(b"\n"):
                start = data.rfind(b"\n") + 1
                rest = file.readline(limit + 1)
                if len(data) - start + len(rest.rstrip(b"\n")) > limit:
                    if start:
                        yield number, data[:start]
                        number += data.count(b"\n")
                    yield number, None
                    number += 1
                    if not rest.endswith(b"\n"):
                        _skip_rest(file)
                    continue
                data += rest
            yield number, data
            number += data.count(b"\n")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, with what goes wrong in reading it as one line."""
    try:
        # A pipe or a device could block for ever or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise EdgetuneError(f"cannot read {path}: it is not a regular file")
        with path.open("rb") as file:
            yield file
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise EdgetuneError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def reason_of(error: EdgetuneError, whole: bool) -> str:
    """Why a line was refused; a last line without its newline was most likely torn by a crash."""
    return str(error) if whole else f"torn last line ({error})"


def _skip_rest(file: BinaryIO) -> bool:
    while part := file.readline(1 << 20):
        if part.endswith(b"\n"):
            return True
    return False
