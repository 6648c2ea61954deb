"""A remote that is made of files: what a folder, an SSH server and a bucket have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes
from compiler.records.remote.index import Part
from compiler.records.remote.names import (
    INDEX,
    LISTING,
    SIGNATURES,
    EntryName,
    SignatureName,
    entry_name,
    part_path,
    signature_name,
)
from compiler.records.remote.remote import MAX_ENTRIES, LocalEntry, LocalPart, LocalSignature, Remote, Told
from compiler.records.remote.retry import retrying

LISTING_KIND = "edgetune-listing"
_LISTING_ROUNDS = 8
_Name = TypeVar("_Name", EntryName, SignatureName)


class FileRemote(Remote):
    """Index entries in index/<fingerprint>/, parts in parts/, each put there in one step."""

    @abstractmethod
    def list_below(self, top: str) -> Iterator[str]:
        """The path below the root of every file in the folders of fingerprints below TOP/ (`index`, `signatures`), in
        any order. Raises EdgetuneError where the root itself is not there."""

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
        return sorted(retrying(lambda: known_entries(self.list_below(INDEX), self.url)))

    def signatures(self) -> list[SignatureName]:
        return sorted(retrying(lambda: known_signatures(self.list_below(SIGNATURES), self.url)))

    def entry_chunks(self, name: EntryName) -> Iterator[bytes]:
        return self.chunks(name.path)

    def signature_chunks(self, name: SignatureName) -> Iterator[bytes]:
        return self.chunks(name.path)

    def part_chunks(self, part: Part) -> Iterator[bytes]:
        return self.chunks(part_path(part.sha256))

    def publish(
        self,
        parts: Sequence[LocalPart],
        entries: Sequence[LocalEntry],
        told: Told,
        *,
        again: bool = False,
        signatures: Sequence[LocalSignature] = (),
    ) -> None:
        def send(local: LocalPart) -> None:
            path = part_path(local.part.sha256)
            # A push that was cut off has left parts that no entry lists; they need not travel again.
            if again or retrying(partial(self.size, path)) != local.part.size:
                retrying(partial(self.put, path, local.path))

        together(self.workers, [partial(send, local) for local in parts], told)
        sent: list[LocalSignature | LocalEntry] = [*signatures, *entries]
        for item in sent:
            retrying(partial(self.put, item.name.path, item.data))
        self._list_for_http()

    def remove(self, entries: Sequence[EntryName]) -> None:
        together(self.workers, [partial(retrying, partial(self.delete, name.path)) for name in entries])
        self._list_for_http()

    def _list_for_http(self) -> None:
        """Writes the listing, which only readers by HTTP rely on: made from what is there, never from itself.

        After writing we look again: whoever writes last has then listed all that was there before, and what came
        later is listed by whoever brought it. So two pushes at once leave no entry out.
        """
        names = self._listed()
        for _ in range(_LISTING_ROUNDS):
            entries, signatures = names
            listed: dict[str, Any] = {"kind": LISTING_KIND, "schema": 1, "entries": [name.path for name in entries]}
            if signatures:
                listed["signatures"] = [name.path for name in signatures]
            data = canonical_bytes(listed)
            retrying(partial(self.put, LISTING, data))
            before, names = names, self._listed()
            if names == before:
                return

    def _listed(self) -> tuple[list[EntryName], list[SignatureName]]:
        return self.entries(), self.signatures()


def known_entries(paths: Iterator[str], url: str) -> list[EntryName]:
    """The index entries among `paths`. Raises EdgetuneError for more than anybody has."""
    return _known(map(entry_name, paths), url, "index entries")


def known_signatures(paths: Iterator[str], url: str) -> list[SignatureName]:
    """The statements of signers among `paths`. Raises EdgetuneError for more than anybody has."""
    return _known(map(signature_name, paths), url, "signatures")


def _known(names: Iterator[_Name | None], url: str, what: str) -> list[_Name]:
    found: list[_Name] = []
    for name in names:
        if name is not None:
            found.append(name)
        if len(found) > MAX_ENTRIES:
            raise EdgetuneError(f"{url} lists more than {MAX_ENTRIES} {what}: this is no remote for logs")
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


__all__ = ["INDEX", "LISTING", "LISTING_KIND", "FileRemote", "known_entries", "known_signatures", "together"]
