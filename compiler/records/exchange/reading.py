"""Lines of a file that may be hostile or torn: bounded, numbered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from compiler.errors import EdgetuneError
from compiler.records.exchange.lines import MAX_LINE_BYTES


def numbered_lines(path: Path, limit: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes | None, bool]]:
    """Yields (number from 1, line without its newline, whether it ended in one); None for a line beyond `limit` bytes.

    Memory stays bounded by `limit`. Raises EdgetuneError when the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(limit + 1):
                number += 1
                whole = line.endswith(b"\n")
                if len(line) > limit and not whole:
                    yield number, None, _skip_rest(file)
                else:
                    yield number, line.rstrip(b"\r\n"), whole
    except OSError as error:
        raise EdgetuneError(f"cannot read {path}: {error.strerror}") from None


def reason_of(error: EdgetuneError, whole: bool) -> str:
    """Why a line was refused; a last line without its newline was most likely torn by a crash."""
    return str(error) if whole else f"torn last line ({error})"


def _skip_rest(file: BinaryIO) -> bool:
    while part := file.readline(1 << 20):
        if part.endswith(b"\n"):
            return True
    return False
