"""A remote that is made of files: what a folder, an SSH server and a bucket have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes
from compiler.records.remote.index import Part
from compiler.records.remote.names import INDEX, LISTING, EntryName, entry_name, part_path
from compiler.records.remote.remote import MAX_ENTRIES, LocalEntry, LocalPart, Remote, Told
from compiler.records.remote.retry import retrying

LISTING_KIND = "edgetune-listing"
_LISTING_ROUNDS = 8


class FileRemote(Remote):
    """Index entries in index/<fingerprint>/, parts in parts/, each put there in one step."""

    @abstractmethod
    def list_index(self) -> Iterator[str]:
        """The path below the root of every file below `index/`, in any order."""

    @abstractmethod
    def chunks(self, path: str) -> Iterator[bytes]:
        """The bytes of the file at `path` below the root."""

    @abstractmethod
    def put(self, path: str, source: Path | bytes) -> None:
        """Writes the file at `path` below the root, which is there whole or not at all, and stays."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Bytes of the file at `path`, None where there is none."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Removes the file at `path`, if it is there."""

    def entries(self) -> list[EntryName]:
        return sorted(retrying(lambda: known_entries(self.list_index(), self.url)))

    def entry_chunks(self, name: EntryName) -> Iterator[bytes]:
        return self.chunks(name.path)

    def part_chunks(self, part: Part) -> Iterator[bytes]:
        return self.chunks(part_path(part.sha256))

    def publish(
        self, parts: Sequence[LocalPart], entries: Sequence[LocalEntry], told: Told, *, again: bool = False
    ) -> None:
        def send(local: LocalPart) -> None:
            path = part_path(local.part.sha256)
            # A push that was cut off has left parts that no entry lists; they need not travel again.
            if again or retrying(partial(self.size, path)) != local.part.size:
                retrying(partial(self.put, path, local.path))

        together(self.workers, [partial(send, local) for local in parts], told)
        for entry in entries:
            retrying(partial(self.put, entry.name.path, entry.data))
        self._list_for_http()

    def remove(self, entries: Sequence[EntryName]) -> None:
        together(self.workers, [partial(retrying, partial(self.delete, name.path)) for name in entries])
        self._list_for_http()

    def _list_for_http(self) -> None:
        """Writes the listing, which only readers by HTTP rely on: made from what is there, never from itself.

        After writing we look again: whoever writes last has then listed all that was there before, and what came
        later is listed by whoever brought it. So two pushes at once leave no entry out.
        """
        names = self.entries()
        for _ in range(_LISTING_ROUNDS):
            listed = {"kind": LISTING_KIND, "schema": 1, "entries": [name.path for name in names]}
            data = canonical_bytes(listed)
            retrying(partial(self.put, LISTING, data))
            before, names = names, self.entries()
            if names == before:
                return


def known_entries(paths: Iterator[str], url: str) -> list[EntryName]:
    """The index entries among `paths`. Raises EdgetuneError for more than anybody has."""
    found: list[EntryName] = []
    for path in paths:
        name = entry_name(path)
        if name is not None:
            found.append(name)
        if len(found) > MAX_ENTRIES:
            raise EdgetuneError(f"{url} lists more than {MAX_ENTRIES} index entries: this is no remote for logs")
    return found


def together(workers: int, works: Sequence[Callable[[], None]], told: Told = lambda done, total: None) -> None:
    """Does all `works` on a few threads; the first that fails ends it, once those under way are through."""
    if not works:
        return
    with ThreadPoolExecutor(min(workers, len(works))) as pool:
        futures: list[Future[None]] = [pool.submit(work) for work in works]
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                told(len(works) - len(waiting), len(works))
        finally:
            for future in futures:
                future.cancel()


__all__ = ["INDEX", "LISTING", "LISTING_KIND", "FileRemote", "known_entries", "together"]
