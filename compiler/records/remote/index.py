"""Index entries: which parts one push added for one fingerprint, and what those hold."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator

import msgspec

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes, parse_strict
from compiler.records.remote.names import is_digest, is_fingerprint

SCHEMA = 1
KIND = "edgetune-index"
MAX_ENTRY_BYTES = 64 << 20
MAX_PARTS = 4_000
"""Of one entry. A registry's manifest, which lists them too, may not be larger than 4 MB."""
MAX_PART_BYTES = 256 << 20
MAX_UNPACKED_BYTES = 1 << 30
MAX_PART_RECORDS = 100_000
_MAX_ENTRY_RECORDS = 1_000_000
_MAX_VERSIONS = 64
ID_BYTES = 8
"""So much of a record's id is kept: among a million records, two that agree in it have a chance of 1 in 40 million."""

_WORKLOAD = re.compile(r"[0-9a-f]{16,64}")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """JSON lines of one kernel as they lie on the remote.

    sha256, size: of the bytes that lie there. packing: `gzip` or `none`. unpacked: bytes of the lines. workload: the
    kernel's hash. ids: base64 of the first ID_BYTES bytes of each record's id, sorted, by which a push leaves out what
    is there, and a pull what it has. tvm: the versions that measured.
    """

    sha256: str
    size: int
    packing: str
    unpacked: int
    workload: str
    ids: str
    tvm: tuple[str, ...]

    @property
    def records(self) -> frozenset[bytes]:
        """The beginnings of its records' ids."""
        raw = base64.b64decode(self.ids)
        return frozenset(raw[at : at + ID_BYTES] for at in range(0, len(raw), ID_BYTES))


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Parts of one fingerprint. It holds no time and no author: the same parts make the same bytes, and so one name."""

    kind: str
    schema: int
    fingerprint: str
    parts: list[Part]


def entries_of(fingerprint: str, parts: Iterable[Part]) -> Iterator[bytes]:
    """The bytes of the entries that list `parts`, sorted and each once, as few as the limits allow."""
    chunk: list[Part] = []
    records = 0
    for part in sorted(set(parts), key=lambda part: (part.workload, part.sha256, canonical_bytes(part))):
        count = _count(part.ids)
        if chunk and (len(chunk) == MAX_PARTS or records + count > _MAX_ENTRY_RECORDS):
            yield canonical_bytes(Entry(kind=KIND, schema=SCHEMA, fingerprint=fingerprint, parts=chunk))
            chunk, records = [], 0
        chunk.append(part)
        records += count
    if chunk:
        yield canonical_bytes(Entry(kind=KIND, schema=SCHEMA, fingerprint=fingerprint, parts=chunk))


def read_entry(data: bytes, digest: str, fingerprint: str | None = None) -> Entry:
    """The entry in `data`, checked: its SHA-256, its form, every bound. `fingerprint`: the one its name speaks of.

    Raises EdgetuneError, in one line, for anything else; a remote may hold what anybody put there.
    """
    _require(len(data) <= MAX_ENTRY_BYTES, f"it is larger than {MAX_ENTRY_BYTES} bytes")
    _require(hashlib.sha256(data).hexdigest() == digest, "its SHA-256 is not the one that it is called by")
    value = parse_strict(data)
    _require(isinstance(value, dict) and value.get("kind") == KIND, "it is no index entry of edgetune")
    schema = value.get("schema")
    _require(type(schema) is int and schema >= 1, "it has no schema number")
    _require(schema <= SCHEMA, f"its schema {schema} is newer than this edgetune reads ({SCHEMA}): update edgetune")
    try:
        entry = msgspec.convert(value, Entry)
    except msgspec.ValidationError as error:
        raise EdgetuneError(" ".join(str(error).split())[:300]) from None
    _require(is_fingerprint(entry.fingerprint), "its fingerprint is no path-safe name")
    _require(fingerprint in (None, entry.fingerprint), "it lies in another fingerprint's folder")
    _require(len(entry.parts) <= MAX_PARTS, f"it lists more than {MAX_PARTS} parts")
    for part in entry.parts:
        _check_part(part)
    return entry


def pack_ids(ids: Iterable[bytes]) -> str:
    """Beginnings of records' ids as `Part.ids` holds them."""
    return base64.b64encode(b"".join(sorted(ids))).decode("ascii")


def _check_part(part: Part) -> None:
    _require(is_digest(part.sha256), "a part's name is no SHA-256")
    _require(0 < part.size <= MAX_PART_BYTES, f"a part is not of 1 to {MAX_PART_BYTES} bytes")
    _require(0 < part.unpacked <= MAX_UNPACKED_BYTES, f"a part's lines are not of 1 to {MAX_UNPACKED_BYTES} bytes")
    _require(part.packing in ("gzip", "none"), f"a part is packed with {part.packing[:20]!r}, which is not known here")
    _require(part.packing == "gzip" or part.size == part.unpacked, "a part that is not packed has two sizes")
    _require(_WORKLOAD.fullmatch(part.workload), "a part's workload is not 16 to 64 hex digits")
    _require(len(part.tvm) <= _MAX_VERSIONS and all(len(v) <= 100 for v in part.tvm), "a part lists too many versions")
    try:
        size = len(base64.b64decode(part.ids.encode("ascii"), validate=True))
    except (UnicodeError, binascii.Error):
        raise EdgetuneError("a part's ids are not base64") from None
    _require(size % ID_BYTES == 0 and 0 < size <= MAX_PART_RECORDS * ID_BYTES, "a part's ids have no possible length")


def _count(ids: str) -> int:
    return len(ids) * 3 // 4 // ID_BYTES


def _require(condition: object, message: str) -> None:
    if not condition:
        raise EdgetuneError(message)
