"""A web server as a remote: whatever serves the files of a folder or bucket that somebody pushed to. Pull only."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.errors import EdgetuneError
from compiler.records.canonical import parse_strict
from compiler.records.remote.files import LISTING_KIND, known_entries, known_signatures
from compiler.records.remote.http import Http
from compiler.records.remote.index import Part
from compiler.records.remote.names import LISTING, EntryName, SignatureName, part_path
from compiler.records.remote.remote import MissingError, Remote
from compiler.records.remote.retry import retrying

_MAX_LISTING_BYTES = 32 << 20


class WebRemote(Remote):
    """Files below an http(s) address. A login, where one is needed, comes from ~/.netrc."""

    can_write = can_remove = False

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._http = Http()

    def entries(self) -> list[EntryName]:
        return sorted(set(known_entries(iter(self._listed("entries")), self.url)))

    def signatures(self) -> list[SignatureName]:
        return sorted(set(known_signatures(iter(self._listed("signatures")), self.url)))

    def _listed(self, what: str) -> list[str]:
        """The paths that the listing holds under a key; it leaves out a key that it has none of."""

        def read() -> bytes:
            return b"".join(self._http.chunks(f"{self.url}/{LISTING}", limit=_MAX_LISTING_BYTES))

        try:
            value = parse_strict(retrying(read))
        except MissingError:
            raise EdgetuneError(f"{self.url} holds no logs of edgetune: there is no {LISTING}") from None
        except EdgetuneError as error:
            raise EdgetuneError(f"{self.url}/{LISTING} cannot be used: {error}") from None
        if not isinstance(value, dict) or value.get("kind") != LISTING_KIND or value.get("schema") != 1:
            raise EdgetuneError(f"{self.url}/{LISTING} is no listing that this edgetune reads")
        paths = value.get(what, None if what == "entries" else [])
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise EdgetuneError(f"{self.url}/{LISTING} is no listing of edgetune")
        return paths

    def entry_chunks(self, name: EntryName) -> Iterator[bytes]:
        return self._http.chunks(f"{self.url}/{name.path}")

    def signature_chunks(self, name: SignatureName) -> Iterator[bytes]:
        return self._http.chunks(f"{self.url}/{name.path}")

    def part_chunks(self, part: Part) -> Iterator[bytes]:
        return self._http.chunks(f"{self.url}/{part_path(part.sha256)}", limit=part.size)

    def close(self) -> None:
        self._http.close()
