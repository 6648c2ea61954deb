"""From a store to a remote: what the remote has not yet, and nothing else."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from compiler.errors import EdgetuneError, UsageError
from compiler.records.exchange.lines import row_line
from compiler.records.record import UNKNOWN_FINGERPRINT
from compiler.records.remote.cache import caches
from compiler.records.remote.compact import COMPACT_ABOVE, compact
from compiler.records.remote.index import Entry, entries_of, read_entry
from compiler.records.remote.names import EntryName
from compiler.records.remote.packing import Line, pack, short_id
from compiler.records.remote.reading import Index, read_index
from compiler.records.remote.remote import LocalEntry, LocalPart, LocalSignature, Remote
from compiler.records.remote.signatures import statements_of
from compiler.records.rows import RECORD_COLUMNS
from compiler.records.store import Store
from compiler.records.trust.signing import Sign
from compiler.records.trust.verdicts import quarantined

_TVM_VERSION = RECORD_COLUMNS.split(", ").index("tvm_version")

Progress = Callable[[str], None]
"""Is called with what is going on, in one line."""


@dataclass
class PushReport:
    """What a push did. sent, known: records that went, and those that were there already. bytes_sent: of their parts.
    replaced: index entries that fewer ones stand for now. signed: parts that went signed. notes: what
    the user should know."""

    url: str
    sent: int = 0
    known: int = 0
    parts: int = 0
    bytes_sent: int = 0
    fingerprints: list[str] = field(default_factory=list)
    replaced: int = 0
    signed: int = 0
    notes: list[str] = field(default_factory=list)


def push(
    store: Store,
    remote: Remote,
    *,
    fingerprint: str | None = None,
    top: int | None = None,
    author: str | None = None,
    again: bool = False,
    sign: Sign | None = None,
    progress: Progress = lambda line: None,
) -> PushReport:
    """Adds to `remote` the records of `store` that its index does not list; what has returned is there for everybody.

    fingerprint: only that one's. top: only the best so many records of each kernel. author: who the records that were
    measured here are said to be by, where they do not say it yet. again: all of them, for a remote that has lost or
    damaged what its index lists. sign: what signs the parts that go, and with `again` those that are there (see
    `signatures`).

    Records that are quarantined stay here, and so do those of which nobody knows on what they were measured. Several
    may push at the same time, and one that is killed has added nothing, or all. Raises UsageError where nobody can
    push, EdgetuneError where the remote cannot be read or written.
    """
    if not remote.can_write:
        raise UsageError(f"{remote.url} can be pulled from only: push to the folder or bucket that it serves")
    report = PushReport(remote.url)
    chosen = [name for name in store.fingerprints() if name != UNKNOWN_FINGERPRINT and fingerprint in (None, name)]
    if not chosen:
        raise EdgetuneError(f"there is nothing to push: {store.path} holds no records of a known machine")
    progress(f"Reading the index of {remote.url}")
    index = _index(remote, set(chosen))
    report.notes += [f"{refused}; it is left out" for refused in index.refused]
    with caches(remote.url)[1].scratch() as folder:
        parts: list[LocalPart] = []
        entries: list[LocalEntry] = []
        signatures: list[LocalSignature] = []
        for name in chosen:
            progress(f"Packing {name}")
            known = _listed(e for e in index.entries.values() if e.fingerprint == name and not again)
            made = list(_new_parts(store, name, top, author, known, Path(folder), report))
            parts += made
            if made:
                report.fingerprints.append(name)
                entries += [_entry(name, data) for data in entries_of(name, (local.part for local in made))]
                if sign is not None:
                    signatures += statements_of(name, (local.part.sha256 for local in made), sign)
                    report.signed += len(made)
        if parts:
            report.parts, report.bytes_sent = len(parts), sum(local.part.size for local in parts)
            progress(f"Sending {len(parts)} parts")
            remote.publish(
                parts,
                entries,
                lambda done, total: progress(f"Sent {done} of {total} parts"),
                again=again,
                signatures=signatures,
            )
    if remote.can_remove:
        for name in chosen:
            if sum(entry.fingerprint == name for entry in index.entries.values()) >= COMPACT_ABOVE:
                progress(f"Making the index of {name} smaller")
                report.replaced += compact(remote, caches(remote.url)[0], name)
    return report


def _index(remote: Remote, chosen: set[str]) -> Index:
    """The index, where there is a remote already: a folder or a repository begins with its first push."""
    if remote.is_new():
        return Index()
    return read_index(remote, caches(remote.url)[0], lambda name: name in chosen)


def _listed(entries: Iterator[Entry]) -> dict[str, set[bytes]]:
    """Kernel -> beginnings of the ids of its records on the remote."""
    found: dict[str, set[bytes]] = defaultdict(set)
    for entry in entries:
        for part in entry.parts:
            found[part.workload] |= part.records
    return found


def _new_parts(
    store: Store,
    fingerprint: str,
    top: int | None,
    author: str | None,
    known: dict[str, set[bytes]],
    folder: Path,
    report: PushReport,
) -> Iterator[LocalPart]:
    for workload, ids in _ids(store, fingerprint, top):
        new = {record for record in ids if short_id(record) not in known.get(workload, ())}
        report.known += len(ids) - len(new)
        if not new:
            continue
        name, packed_ir = store.workload_packed(workload) or ("", b"")
        lines = store.record_rows(_line, workload=workload, fingerprint=fingerprint, author=author)
        for local in pack(folder, workload, name, packed_ir, (line for line in lines if line.id in new)):
            report.sent += len(local.part.records)
            yield local


def _line(row: tuple[Any, ...]) -> Line:
    return Line(row[0], row[_TVM_VERSION], row_line(row))


def _ids(store: Store, fingerprint: str, top: int | None) -> Iterator[tuple[str, set[str]]]:
    """Each kernel with the ids of its records that may be shared."""
    if top is not None:
        for task in store.summary(fingerprint):
            best = {record.id for record in store.top(task.workload, fingerprint, top)}
            if best:
                yield task.workload, best
        return
    refused = {found.record for found in quarantined(store, fingerprint)}
    rows = store.stream(
        "SELECT r.workload, r.id FROM tasks AS t JOIN records AS r ON r.workload = t.workload "
        "AND r.fingerprint = t.fingerprint WHERE t.fingerprint = ? ORDER BY t.workload",
        (fingerprint,),
        tuple,
    )
    for workload, group in groupby(rows, key=lambda row: str(row[0])):
        ids = {str(row[1]) for row in group} - refused
        if ids:
            yield workload, ids


def _entry(fingerprint: str, data: bytes) -> LocalEntry:
    digest = hashlib.sha256(data).hexdigest()
    return LocalEntry(EntryName(fingerprint, digest), data, tuple(read_entry(data, digest).parts))
