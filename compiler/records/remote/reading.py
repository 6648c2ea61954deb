"""The index of a remote: the union of its entries, each fetched once and kept."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from compiler.errors import EdgetuneError
from compiler.records.remote.cache import Cache
from compiler.records.remote.index import MAX_ENTRY_BYTES, Entry, read_entry
from compiler.records.remote.names import EntryName
from compiler.records.remote.remote import MissingError, Remote, TransientError

MAX_INDEX_BYTES = 512 << 20
_ROUNDS = 5


@dataclass
class Index:
    """Entries by name, how many of them had to be fetched, and what could not be used, with the reason."""

    entries: dict[EntryName, Entry] = field(default_factory=dict)
    fetched: int = 0
    refused: list[str] = field(default_factory=list)


def read_index(remote: Remote, cache: Cache, wanted: Callable[[str], bool]) -> Index:
    """Reads all entries of fingerprints that are `wanted`.

    An entry that disappears between listing and reading was replaced by a larger one: then we look again. One that is
    listed again and not there again, or is not what it should be, is refused, and no reason to stop: anybody who may
    push can put one there. Raises EdgetuneError where the remote cannot be listed or reached.
    """
    index = Index()
    refused: dict[EntryName, str] = {}
    missed: set[EntryName] = set()
    total = 0
    for _ in range(_ROUNDS):
        names = remote.entries()
        chosen = [name for name in names if name.fingerprint is None or wanted(name.fingerprint)]
        there = set(chosen)
        index.entries = {name: entry for name, entry in index.entries.items() if name in there}
        gone = False
        with ThreadPoolExecutor(remote.workers) as pool:
            new = [name for name in chosen if name not in index.entries and name not in refused]
            for name, result in zip(new, pool.map(partial(_read, remote, cache), new), strict=True):
                if isinstance(result, MissingError) and name not in missed:
                    missed.add(name)
                    gone = True
                elif isinstance(result, TransientError):
                    raise result
                elif isinstance(result, EdgetuneError):
                    refused[name] = f"index entry {name.digest[:12]}: {result}"
                else:
                    entry, size, fetched = result
                    total += size
                    index.fetched += fetched
                    if total > MAX_INDEX_BYTES:
                        raise EdgetuneError(f"{remote.url} has an index of more than {MAX_INDEX_BYTES} bytes")
                    index.entries[name] = entry
        if not gone:
            cache.keep_only(name.digest for name in names)
            break
    else:
        raise EdgetuneError(f"{remote.url} lists index entries that are not there")
    index.entries = {name: entry for name, entry in index.entries.items() if wanted(entry.fingerprint)}
    index.refused = [refused[name] for name in sorted(refused, key=lambda name: name.digest)]
    return index


def _read(remote: Remote, cache: Cache, name: EntryName) -> tuple[Entry, int, bool] | EdgetuneError:
    try:
        data, fetched = cache.read(name.digest, lambda: remote.entry_chunks(name), MAX_ENTRY_BYTES)
        return read_entry(data, name.digest, name.fingerprint), len(data), fetched
    except EdgetuneError as error:
        return error
