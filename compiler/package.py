"""The package: one `.tar` that holds a compiled model, what it is, and a SHA-256 of every byte of it.

Members, in this order: `SHA256SUMS` (as `sha256sum -c` reads it), `manifest.json`, then the compiled ones: `library.so`
and whatever else the build puts beside it. Nothing of a package is loaded before all of it has been checked.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from compiler.errors import EdgetuneError
from compiler.packaging import archive
from compiler.packaging.archive import DamagedArchiveError, Member
from compiler.packaging.manifest import (
    Accuracy,
    KernelWork,
    Manifest,
    ModelInfo,
    TargetInfo,
    UsedRecord,
    decode,
    encode,
)
from compiler.scratch import scratch_folder

__all__ = [
    "LIBRARY",
    "Accuracy",
    "KernelWork",
    "Manifest",
    "ModelInfo",
    "Package",
    "TargetInfo",
    "UsedRecord",
    "open_package",
    "write",
]

LIBRARY = "library.so"
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
BEGINS = SUMS.encode() + b"\0"
"""The first bytes of every package."""
_MAX_MANIFEST_BYTES = 32 << 20
_MAX_SUMS_BYTES = 64 << 10


@dataclass(frozen=True)
class Package:
    """A package whose members were checked when it was opened.

    `checksums` maps a member's name to its SHA-256 (hex), `sizes` to its bytes.
    """

    path: Path
    manifest: Manifest
    checksums: Mapping[str, str]
    sizes: Mapping[str, int]

    @contextmanager
    def unpack(self, *, whole: bool = False) -> Iterator[Path]:
        """A folder of this process alone with the compiled members in it; it is gone afterwards.

        whole: with the manifest and SHA256SUMS as they are in the package, too. Checked again on the way, since the
        file may have changed after it was opened. Raises EdgetuneError.
        """
        with scratch_folder("package") as folder:
            with _reading(self.path) as file:
                for member in archive.read_members(file):
                    if member.name == SUMS:
                        if _parse_sums(_content(file, member, _MAX_SUMS_BYTES)) != self.checksums:
                            raise EdgetuneError(f"{self.path} changed while it was being read: {SUMS} is another one")
                        if whole:
                            (folder / SUMS).write_bytes(_content(file, member, _MAX_SUMS_BYTES))
                    elif whole or member.name != MANIFEST:
                        self._extract(file, member, folder)
            for name in self.checksums:
                if (whole or name != MANIFEST) and not (folder / name).is_file():
                    raise EdgetuneError(f"{self.path} changed while it was being read: {name} is gone")
            yield folder

    def _extract(self, file: BinaryIO, member: Member, folder: Path) -> None:
        digest = hashlib.sha256()
        descriptor = os.open(folder / member.name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            for chunk in archive.chunks(file, member):
                digest.update(chunk)
                target.write(chunk)
        if digest.hexdigest() != self.checksums.get(member.name):
            raise EdgetuneError(f"{self.path} changed while it was being read: {member.name} is not what it was")


def write(path: Path | str, members: Mapping[str, Path | bytes], manifest: Manifest) -> Package:
    """Write a package in one step (the file is complete or not there) and return it, opened.

    `members` maps names to files or bytes and holds `library.so`; equal members and manifest give equal files.
    Raises EdgetuneError when a member cannot be packed or the file cannot be written.
    """
    path = Path(path)
    if LIBRARY not in members:
        raise EdgetuneError(f"a package needs the member {LIBRARY}")
    for name in (SUMS, MANIFEST):
        if name in members:
            raise EdgetuneError(f"{name} is made by the package itself: leave it out of the members")
    for name, content in members.items():
        archive.check_name(name)
        if isinstance(content, Path) and not content.is_file():
            raise EdgetuneError(f"cannot pack {name}: there is no file {content}")
    contents: dict[str, Path | bytes] = {
        MANIFEST: encode(manifest),
        **{name: members[name] for name in sorted(members)},
    }
    decode(encode(manifest))  # what cannot be read again must not be written
    lines = [f"{_sha256_of(content)}  {name}\n" for name, content in contents.items()]
    archive.write(path, {SUMS: "".join(lines).encode("ascii"), **contents})
    return open_package(path)


def _sha256_of(content: Path | bytes) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return archive.sha256(iter(lambda: file.read(archive.CHUNK), b""))


def open_package(path: Path | str) -> Package:
    """Open a package and check all of it: form, names, sizes, the SHA-256 of every member, the manifest.

    Reads only; runs nothing of what is inside. Raises EdgetuneError, in one line, for a file that is missing,
    damaged, cut short, compressed or not a package.
    """
    path = Path(path)
    with _reading(path) as file:
        members = {member.name: member for member in archive.read_members(file)}
        for name in (SUMS, MANIFEST, LIBRARY):
            if name not in members:
                raise DamagedArchiveError(f"it holds no {name}")
        checksums = _parse_sums(_content(file, members[SUMS], _MAX_SUMS_BYTES))
        if list(checksums) != [name for name in members if name != SUMS]:
            raise DamagedArchiveError(f"{SUMS} does not list its members")
        for name, checksum in checksums.items():
            if archive.sha256(archive.chunks(file, members[name])) != checksum:
                raise DamagedArchiveError(f"the SHA-256 of {name} is wrong")
        manifest_bytes = _content(file, members[MANIFEST], _MAX_MANIFEST_BYTES)
    try:
        manifest = decode(manifest_bytes)
    except EdgetuneError as error:
        raise EdgetuneError(f"{path} is not a usable package: {error}") from None
    return Package(path, manifest, checksums, {name: members[name].size for name in checksums})


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """Open for reading, and turn what goes wrong within into one line about `path`."""
    try:
        # A pipe or a device could block for ever or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise EdgetuneError(f"{path} is not a package: it is not a file")
        with path.open("rb") as file:
            yield file
    except DamagedArchiveError as error:
        raise EdgetuneError(f"{path} is not a usable package: {error}") from None
    except FileNotFoundError:
        raise EdgetuneError(f"there is no package {path}: `edgetune compile` makes one") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EdgetuneError(f"cannot read the package {path}: {reason}") from None


def _content(file: BinaryIO, member: Member, limit: int) -> bytes:
    if member.size > limit:
        raise DamagedArchiveError(f"{member.name} is larger than {limit} bytes")
    return b"".join(archive.chunks(file, member))


def _parse_sums(data: bytes) -> dict[str, str]:
    sums: dict[str, str] = {}
    for line in data.decode("ascii", errors="replace").splitlines(keepends=True):
        checksum, _, name = line.partition("  ")
        name = name.removesuffix("\n")
        if f"{checksum}  {name}\n" != line or len(checksum) != 64 or name in sums:
            raise DamagedArchiveError(f"{SUMS} is damaged")
        sums[name] = checksum
    return sums
