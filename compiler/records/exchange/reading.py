"""Lines of a file that may be hostile or torn: bounded, numbered."""

from __future__ import annotations

import stat
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
        # A pipe or a device could block for ever or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise EdgetuneError(f"cannot read {path}: it is not a regular file")
        with path.open("rb") as file:
            number = 0
            while line := file.readline(limit + 1):
                number += 1
                whole = line.endswith(b"\n")
                if len(line) > limit and not whole:
                    yield number, None, _skip_rest(file)
                else:
                    yield number, line.rstrip(b"\r\n"), whole
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
