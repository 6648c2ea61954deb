"""Many small index entries become few: nothing but the index changes, and nobody notices."""

from __future__ import annotations

import hashlib

from compiler.records.remote.cache import Cache
from compiler.records.remote.index import entries_of
from compiler.records.remote.names import EntryName
from compiler.records.remote.reading import read_index
from compiler.records.remote.remote import LocalEntry, Remote

COMPACT_ABOVE = 64
"""Index entries of one fingerprint that a reader fetches with patience."""


def compact(remote: Remote, cache: Cache, fingerprint: str) -> int:
    """Puts fewer entries of `fingerprint` in the place of those that are there; returns how many are gone.

    The new ones are written first, and list all that the old ones did; only those that were read are removed, so that a
    push under way loses nothing, and neither does a compaction elsewhere: at every moment the union of what is there is
    everything. An entry that cannot be read stays.
    """
    index = read_index(remote, cache, lambda name: name == fingerprint)
    new: list[LocalEntry] = []
    for data in entries_of(fingerprint, (part for entry in index.entries.values() for part in entry.parts)):
        new.append(LocalEntry(EntryName(fingerprint, hashlib.sha256(data).hexdigest()), data))
    if len(index.entries) - len(new) < COMPACT_ABOVE // 2:
        return 0
    kept = {entry.name.digest for entry in new}
    old = [name for name in index.entries if name.digest not in kept]
    remote.publish([], new, lambda done, total: None)
    remote.remove(old)
    return len(old)
