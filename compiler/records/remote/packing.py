"""Parts: JSON lines of one kernel, packed to travel, and unpacked again within bounds."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from compiler.errors import EdgetuneError
from compiler.records.exchange.lines import workload_line
from compiler.records.remote.index import ID_BYTES, MAX_PART_BYTES, MAX_PART_RECORDS, Part, pack_ids
from compiler.records.remote.remote import LocalPart

_GZIP = 16 + zlib.MAX_WBITS
_PAYS = 0.9  # packed bytes over plain ones, above which the bytes go as they are
_MAX_LINES = MAX_PART_BYTES // 4
_CHUNK = 1 << 20


class Line(NamedTuple):
    """A record on its way: its id, the version of TVM that measured it, and its line, newline included."""

    id: str
    tvm_version: str
    data: bytes


def short_id(record_id: str) -> bytes:
    """The beginning of a record's id, as the index holds it."""
    return bytes.fromhex(record_id[: 2 * ID_BYTES])


def pack(folder: Path, workload: str, name: str, packed_ir: bytes, records: Iterable[Line]) -> Iterator[LocalPart]:
    """Parts that hold `records`, all of the kernel `workload`, as files in `folder`: one, unless they are very many.

    name, packed_ir: of the kernel, as the store keeps them. The lines are those of an export, and each part is complete
    in itself. The same records in the same order make the same bytes.
    """
    head = workload_line(workload, name, packed_ir)
    lines: list[bytes] = [head]
    size = len(head)
    ids: list[bytes] = []
    versions: set[str] = set()
    for record in records:
        line = record.data
        if ids and (size + len(line) > _MAX_LINES or len(ids) == MAX_PART_RECORDS):
            yield _written(folder, workload, lines, ids, versions)
            lines, size, ids, versions = [head], len(head), [], set()
        lines.append(line)
        size += len(line)
        ids.append(short_id(record.id))
        versions.add(record.tvm_version)
    if ids:
        yield _written(folder, workload, lines, ids, versions)


def unpack(part: Part, source: Path, destination: Path) -> None:
    """Writes the lines of the part in the file `source` to `destination`.

    Raises EdgetuneError where they are not exactly as many bytes as the index says: a few packed ones can be petabytes.
    """
    if part.packing == "none":
        destination.write_bytes(source.read_bytes())
        return
    unpacker = zlib.decompressobj(_GZIP)
    left = part.unpacked
    try:
        with source.open("rb") as packed, destination.open("wb") as file:
            data = packed.read(_CHUNK)
            while data and not unpacker.eof:
                lines = unpacker.decompress(data, min(_CHUNK, left + 1))
                left -= len(lines)
                if left < 0:
                    raise EdgetuneError("it unpacks to more than the index says")
                file.write(lines)
                data = unpacker.unconsumed_tail or (packed.read(_CHUNK) if not lines or not unpacker.eof else b"")
            if left or not unpacker.eof or unpacker.unused_data or packed.read(1):
                raise EdgetuneError("it does not unpack to what the index says")
    except zlib.error:
        raise EdgetuneError("it is not packed as the index says") from None


def _written(folder: Path, workload: str, lines: list[bytes], ids: list[bytes], versions: set[str]) -> LocalPart:
    data = b"".join(lines)
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)  # unlike the gzip module's, its header holds no time
    packed = packer.compress(data) + packer.flush()
    pays = len(packed) <= _PAYS * len(data)
    kept = packed if pays else data
    digest = hashlib.sha256(kept).hexdigest()
    path = folder / digest
    path.write_bytes(kept)
    part = Part(
        sha256=digest,
        size=len(kept),
        packing="gzip" if pays else "none",
        unpacked=len(data),
        workload=workload,
        ids=pack_ids(ids),
        tvm=tuple(sorted(versions)[:_MAX_TVM]),
    )
    return LocalPart(part, path)


_MAX_TVM = 64
