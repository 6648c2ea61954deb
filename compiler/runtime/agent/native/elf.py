"""Which versions of the C and the C++ library programs and shared libraries need, read from their ELF tables."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from compiler.errors import EdgetuneError

_SHT_GNU_VERNEED = 0x6FFFFFFE
_MAX_TABLE = 1 << 20  # entries; more is no ELF file that a linker wrote


def oldest_glibc(files: Iterable[Path]) -> str | None:
    """The oldest version of glibc that all `files` run on, such as `2.27`; None where they need none."""
    return _newest(files, "GLIBC_")


def oldest_libstdcxx(files: Iterable[Path]) -> str | None:
    """The oldest version of GCC's C++ library's interface that all `files` run on, such as `3.4.22`."""
    return _newest(files, "GLIBCXX_")


def needed_versions(file: Path) -> set[str]:
    """The versions of symbols that `file` needs of other libraries, such as `GLIBC_2.17`; none where it is no ELF file.

    Raises EdgetuneError where its tables are broken.
    """
    data = file.read_bytes()
    if data[:4] != b"\x7fELF" or data[4:6] != b"\x02\x01":  # 64 bits, little endian: all that there is an agent for
        return set()
    try:
        return set(_versions(data))
    except (struct.error, IndexError, ValueError, OverflowError):
        raise EdgetuneError(f"{file}: its ELF tables are broken") from None


def _newest(files: Iterable[Path], prefix: str) -> str | None:
    found = {version for file in files for version in needed_versions(file) if version.startswith(prefix)}
    numbers = [version.removeprefix(prefix) for version in found]
    known = [number for number in numbers if all(part.isdigit() for part in number.split("."))]
    return max(known, key=lambda number: [int(part) for part in number.split(".")], default=None)


def _versions(data: bytes) -> Iterator[str]:
    (sections,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    for index in range(count):
        kind, _, _, offset, _, link, entries = struct.unpack_from("<IQQQQII", data, sections + index * size + 4)
        if kind != _SHT_GNU_VERNEED:
            continue
        (names,) = struct.unpack_from("<Q", data, sections + link * size + 24)
        for _ in range(min(entries, _MAX_TABLE)):
            _, versions, _, first, following = struct.unpack_from("<HHIII", data, offset)
            place = offset + first
            for _ in range(versions):
                _, _, _, name, step = struct.unpack_from("<IHHII", data, place)
                yield data[names + name : data.index(b"\0", names + name)].decode()
                place += step
            offset += following
