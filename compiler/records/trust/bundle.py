"""A bundle: a folder of logs with a list of its files' SHA-256 sums, and a signature over that list.

The list is what `sha256sum -c SHA256SUMS` reads. A folder with a file more, less or changed is not the one that was
signed, and what is imported is a copy that was compared while it was made.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from compiler.errors import EdgetuneError, UsageError
from compiler.records.exchange.export import replacing
from compiler.records.trust.signing import MAX_SIGNATURE_BYTES, sign, signed_by

MANIFEST = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
MAX_FILES = 200_000
MAX_MANIFEST_BYTES = 64 << 20
MAX_FILE_BYTES = 4 << 30

_LINE = re.compile(r"([0-9a-f]{64})  ([^\r\n]+)")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,254}")


def sign_folder(folder: Path, files: Iterable[Path], key: str) -> None:
    """Writes the list of `files`, which lie in `folder`, and its signature by `key` (see `signing.sign`) beside them.

    Raises UsageError where other files lie there too, which nobody would have meant to sign.
    """
    chosen = {_name(folder, path) for path in files}
    others = sorted(_files(folder) - chosen - {MANIFEST, SIGNATURE})
    if others:
        raise UsageError(f"--sign signs whole folders, and {folder} holds something else, too: {others[0]}")
    manifest = "".join(f"{_sum(folder / name)}  {name}\n" for name in sorted(chosen)).encode("utf-8")
    signature = sign(manifest, key)
    for name, content in ((MANIFEST, manifest), (SIGNATURE, signature)):
        with replacing(folder / name) as file:
            file.write(content)


def verified_copy(folder: Path, signer: str, issuer: str | None, destination: Path) -> None:
    """Copies the files of a bundle into `destination`, having made sure that `signer` signed exactly these.

    signer: a file with a public key, else an identity that `issuer` vouches for (see `signing.signed_by_identity`).
    Raises EdgetuneError, in one line, for a folder that is not signed, or by someone else, or not as it was signed.
    """
    if not folder.is_dir():
        raise EdgetuneError(f"{folder} is not signed: a signed log is a folder with {MANIFEST} and {SIGNATURE}")
    manifest = _read(folder / MANIFEST, MAX_MANIFEST_BYTES)
    signature = _read(folder / SIGNATURE, MAX_SIGNATURE_BYTES)
    if manifest is None or signature is None:
        raise EdgetuneError(f"{folder} is not signed: it has no {MANIFEST if manifest is None else SIGNATURE}")
    if not signed_by(manifest, signature, signer, issuer):
        raise EdgetuneError(f"{folder} is not signed by {signer}")
    sums = _parse(manifest, folder)
    found = _files(folder) - {MANIFEST, SIGNATURE}
    for name in sorted(found ^ set(sums)):
        raise EdgetuneError(f"{folder} is not as it was signed: {name} was {'added' if name in found else 'removed'}")
    for name, expected in sums.items():
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if _sum(folder / name, target) != expected:
            raise EdgetuneError(f"{folder} is not as it was signed: {name} was changed")


def _parse(manifest: bytes, folder: Path) -> dict[str, str]:
    sums: dict[str, str] = {}
    try:
        lines = manifest.decode("utf-8").splitlines()
    except UnicodeError:
        lines = [""]
    for line in lines:
        match = _LINE.fullmatch(line)
        # Names that lead out of the folder have no place in it, whoever signed them.
        if match is None or not all(_PART.fullmatch(part) for part in match[2].split("/")) or match[2] in sums:
            raise EdgetuneError(f"{folder / MANIFEST} is not a list of sums that edgetune writes")
        sums[match[2]] = match[1]
    return sums


def _files(folder: Path) -> set[str]:
    """Every file below `folder`, hidden ones too. Raises EdgetuneError for what is neither file nor folder."""
    found: set[str] = set()
    for place, folders, files in os.walk(folder):
        for name in [*files, *folders]:
            path = Path(place) / name
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                found.add(_name(folder, path))
            elif not stat.S_ISDIR(mode):
                raise EdgetuneError(f"{path} is neither a file nor a folder: it cannot be signed")
            if len(found) > MAX_FILES:
                raise EdgetuneError(f"{folder} holds more than {MAX_FILES} files")
    return found


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _read(path: Path, limit: int) -> bytes | None:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EdgetuneError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > limit:
        raise EdgetuneError(f"{path} is larger than {limit} bytes")
    return content


def _sum(path: Path, copy: Path | None = None) -> str:
    """The SHA-256 of a file, which is copied to `copy` on the way."""
    digest = hashlib.sha256()
    left = MAX_FILE_BYTES
    try:
        with path.open("rb") as file, Path(copy or os.devnull).open("wb") as into:
            while part := file.read(1 << 20):
                left -= len(part)
                if left < 0:
                    raise EdgetuneError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
                digest.update(part)
                into.write(part)
    except OSError as error:
        raise EdgetuneError(f"cannot read {path}: {error.strerror}") from None
    return digest.hexdigest()
