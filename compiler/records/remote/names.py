"""What things on a remote are called. Only names that are made here are ever asked for, so that none leads outside."""

from __future__ import annotations

import re
from typing import NamedTuple

INDEX = "index"
PARTS = "parts"
SIGNATURES = "signatures"
LISTING = "listing.json"
"""The names of all entries, for readers of servers that list no folders (HTTP)."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FINGERPRINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_ENTRY = re.compile(rf"{INDEX}/(?P<fingerprint>{_FINGERPRINT.pattern})/(?P<digest>{_DIGEST.pattern})\.json")
_SIGNATURE = re.compile(rf"{SIGNATURES}/(?P<fingerprint>{_FINGERPRINT.pattern})/(?P<digest>{_DIGEST.pattern})\.json")


class EntryName(NamedTuple):
    """An index entry: `digest` is the SHA-256 of its bytes, `fingerprint` None where only its content says it."""

    fingerprint: str | None
    digest: str

    @property
    def path(self) -> str:
        """Where it lies below the remote's root."""
        return f"{INDEX}/{self.fingerprint}/{self.digest}.json"


class SignatureName(NamedTuple):
    """A statement of who has signed which parts of a fingerprint: `digest` is the SHA-256 of its bytes, `fingerprint`
    None where only its content says it."""

    fingerprint: str | None
    digest: str

    @property
    def path(self) -> str:
        """Where it lies below the remote's root."""
        return f"{SIGNATURES}/{self.fingerprint}/{self.digest}.json"


def entry_name(path: str) -> EntryName | None:
    """The entry at `path` below the root, or None where nothing of ours is called so."""
    match = _ENTRY.fullmatch(path)
    return EntryName(match["fingerprint"], match["digest"]) if match else None


def signature_name(path: str) -> SignatureName | None:
    """The statement at `path` below the root, or None where nothing of ours is called so."""
    match = _SIGNATURE.fullmatch(path)
    return SignatureName(match["fingerprint"], match["digest"]) if match else None


def part_path(digest: str) -> str:
    """Where the part with that SHA-256 lies; 256 folders keep each of them small."""
    return f"{PARTS}/{digest[:2]}/{digest}"


def is_digest(text: object) -> bool:
    """Whether `text` is a SHA-256 in lower-case hex."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def is_fingerprint(text: object) -> bool:
    """Whether `text` has the form of a fingerprint."""
    return isinstance(text, str) and _FINGERPRINT.fullmatch(text) is not None
