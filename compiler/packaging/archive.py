"""The archive of a package: a plain tar in exactly one form.

Any `tar` reads what is written here. What is read here must be, byte for byte, what would be written here: the reader
takes name and size from a header and demands that the rest of it equals the header that the writer makes. That leaves
no room for links, devices, folders, absolute names, `..`, sparse files, extended headers or compression.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from compiler.errors import EdgetuneError

BLOCK = 512
RECORD = 20 * BLOCK
CHUNK = 1 << 20
MAX_MEMBERS = 64
MAX_MEMBER_BYTES = 8**11 - 1
"""What the eleven octal digits of a tar header can say: 8 GiB."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,98}")


class DamagedArchiveError(Exception):
    """Why a file is not an archive of ours, as the end of a sentence."""


@dataclass(frozen=True)
class Member:
    """One file in an archive: its data is the `size` bytes at `offset`."""

    name: str
    offset: int
    size: int


def header(name: str, size: int) -> bytes:
    """The one header that a member of this name and size (bytes) can have."""
    fields = b"".join(
        (
            name.encode("ascii").ljust(100, b"\0"),
            b"0000644\0" + b"0000000\0" * 2,  # mode, owner, group
            b"%011o\0" % size,
            b"%011o\0" % 0,  # time: none, so that the same members give the same bytes
            b" " * 8,  # the checksum counts itself as blanks
            b"0" + b"\0" * 100 + b"ustar\0" + b"00" + b"\0" * 64,
            b"0000000\0" * 2,
        )
    ).ljust(BLOCK, b"\0")
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]


def check_name(name: str) -> None:
    """Raises EdgetuneError for what cannot be a member's name."""
    if not _NAME.fullmatch(name):
        raise EdgetuneError(f"{name!r} cannot be the name of a package member: use letters, digits, '.', '_' and '-'")


def _padding(size: int, unit: int) -> int:
    return -size % unit


def write(path: Path, members: Mapping[str, Path | bytes], most: int = MAX_MEMBERS) -> None:
    """Write an archive in one step: `path` holds the old bytes or all of the new ones, whatever happens in between.

    Raises EdgetuneError when a name cannot be a member's, a member is too large, there are more than `most` of them, or
    the disk refuses.
    """
    if len(members) > most:
        raise EdgetuneError(f"a package holds at most {most} members, not {len(members)}")
    for name in members:
        check_name(name)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            for name, content in members.items():
                _write_member(file, name, content)
            file.write(b"\0" * 2 * BLOCK)
            file.write(b"\0" * _padding(file.tell(), RECORD))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise EdgetuneError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _write_member(file: BinaryIO, name: str, content: Path | bytes) -> None:
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if size > MAX_MEMBER_BYTES:
        raise EdgetuneError(
            f"package member {name} has {size} bytes, more than the {MAX_MEMBER_BYTES} that a tar can hold"
        )
    file.write(header(name, size))
    written = 0
    if isinstance(content, bytes):
        written = file.write(content)
    else:
        with content.open("rb") as source:
            while chunk := source.read(CHUNK):
                written += file.write(chunk)
    if written != size:
        raise EdgetuneError(f"member {name} changed while it was being packed: try again")
    file.write(b"\0" * _padding(size, BLOCK))


def sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the file system can (not all open folders)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)


def read_members(file: BinaryIO, most: int = MAX_MEMBERS) -> list[Member]:
    """The members of an archive, at most `most`, in order: headers and padding are read. Raises DamagedArchiveError."""
    end = os.fstat(file.fileno()).st_size
    if end == 0:
        raise DamagedArchiveError("it is empty")
    members: list[Member] = []
    names: set[str] = set()
    offset = 0
    while True:
        block = _read(file, offset, BLOCK)
        if block == b"\0" * BLOCK:
            break
        member = _parse_header(block, offset)
        if member.offset + member.size > end:
            raise DamagedArchiveError(f"it ends within {member.name}")
        if member.name in names:
            raise DamagedArchiveError(f"it holds {member.name} twice")
        if len(members) == most:
            raise DamagedArchiveError(f"it holds more than {most} members")
        members.append(member)
        names.add(member.name)
        offset = member.offset + member.size
        gap = _padding(member.size, BLOCK)
        if any(_read(file, offset, gap)):
            raise DamagedArchiveError(f"there are stray bytes after {member.name}")
        offset += gap
    size = offset + 2 * BLOCK
    size += _padding(size, RECORD)
    if size != end or any(_read(file, offset, size - offset)):
        raise DamagedArchiveError("its end is not where its members end")
    return members


def _parse_header(block: bytes, offset: int) -> Member:
    try:
        name = block[:100].rstrip(b"\0").decode("ascii")
        size_text = block[124:135].decode("ascii")
    except UnicodeDecodeError:
        name = size_text = ""
    if not _NAME.fullmatch(name) or not re.fullmatch("[0-7]{11}", size_text):
        raise DamagedArchiveError(
            "it is not a tar file of edgetune's form" if offset == 0 else "a member's header is damaged"
        )
    size = int(size_text, 8)
    if header(name, size) != block:
        raise DamagedArchiveError(f"the header of {name} is damaged or not of edgetune's form")
    return Member(name, offset + BLOCK, size)


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise DamagedArchiveError("it is cut short")
    return data


def chunks(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """The bytes of one member, piece by piece. Raises DamagedArchiveError when the file has shrunk since."""
    position, end = member.offset, member.offset + member.size
    while position < end:
        data = _read(file, position, min(CHUNK, end - position))
        yield data
        position += len(data)


def sha256(pieces: Iterator[bytes]) -> str:
    """Hex SHA-256 of the bytes of all pieces."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
