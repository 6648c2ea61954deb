"""Libraries of packages that were compiled before: where nothing has changed, nothing is compiled.

Only what rests on no record is kept: which schedules the records at hand give is for them to say, every time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from compiler.cuda.files import FileCache, cache_folder

MAX_BYTES = 4 << 30
_CHUNK = 1 << 20
_HEAD = struct.Struct("<Q")  # bytes of the facts, which stand in front of the library
_MAX_FACTS = 64 << 20


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a library beside its bytes: see `compiler.build.Built`."""

    untuned: list[str]
    tasks: int
    kernels: dict[str, tuple[float | None, float | None]]
    algorithms: dict[str, int]
    layout_transforms: int
    kept_wide: list[str]
    kept_fp32: dict[str, float]
    cuda_graph: bool


def known(key: str, library: Path, folder: Path | None = None) -> Facts | None:
    """The library of `key`, copied to `library`, and what is known of it; None where it was not kept."""
    with _files(folder).reading(key) as found:
        if found is None:
            return None
        file, size = found
        facts = _facts(file)
        if facts is None:
            return None
        with library.open("wb") as out:
            left = size - file.tell()
            while left:
                left -= out.write(file.read(min(left, _CHUNK)))
        return facts


def keep(key: str, library: Path, facts: Facts, folder: Path | None = None) -> None:
    """Keep the library of `key`."""
    _files(folder).write(key, _content(library, facts))


def _files(folder: Path | None) -> FileCache:
    return FileCache(folder if folder is not None else cache_folder("libraries"), "library", MAX_BYTES)


def _content(library: Path, facts: Facts) -> Iterator[bytes]:
    encoded = msgspec.json.encode(facts)
    yield _HEAD.pack(len(encoded)) + encoded
    with library.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _facts(file: BinaryIO) -> Facts | None:
    with suppress(msgspec.MsgspecError, struct.error):
        (size,) = _HEAD.unpack(file.read(_HEAD.size))
        if size <= _MAX_FACTS:
            return msgspec.json.decode(file.read(size), type=Facts)
    return None
