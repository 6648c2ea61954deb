"""What a remote is to pushing and pulling, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from compiler.errors import EdgetuneError
from compiler.records.remote.index import Part
from compiler.records.remote.names import EntryName, SignatureName

_Self = TypeVar("_Self", bound="Remote")

MAX_ENTRIES = 100_000
"""Index entries that are looked at on one remote."""

Told = Callable[[int, int], None]
"""Is called with (parts done, parts in all) as a transfer goes on."""


class MissingError(EdgetuneError):
    """What was asked for is not there: somebody removed it, or nobody ever put it there."""


class TransientError(EdgetuneError):
    """A failure that may be over in a moment: a connection that broke, a server that is busy."""

    tried = False
    """Whether a library has tried again by itself, so that nobody else need do so."""


@dataclass(frozen=True)
class LocalPart:
    """A part that is ready to go: what the index says of it, and the file that holds its bytes."""

    part: Part
    path: Path


@dataclass(frozen=True)
class LocalEntry:
    """An index entry that is ready to go, and the parts that it lists."""

    name: EntryName
    data: bytes
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class LocalSignature:
    """A statement of who has signed which parts, ready to go."""

    name: SignatureName
    data: bytes


class Remote(ABC):
    """Parts and index entries somewhere else. Safe for several threads; `with` closes it.

    Every method raises EdgetuneError in one line: MissingError for what is not there, TransientError for what a second
    try may bring, and others for what only the user can change.
    """

    url: str
    """The address, for people and as the origin of records; it holds no credentials."""
    workers: int = 8
    """Transfers that make sense at once."""
    can_write: bool = True
    can_remove: bool = True
    """Whether index entries can be replaced by fewer."""

    def is_new(self) -> bool:
        """Whether there is nothing yet at a place where a push may begin something."""
        return False

    @abstractmethod
    def entries(self) -> list[EntryName]:
        """All index entries, sorted. A remote that is empty has none; one that does not exist is an error."""

    @abstractmethod
    def entry_chunks(self, name: EntryName) -> Iterator[bytes]:
        """The bytes of an index entry, in pieces, so that whoever reads can stop."""

    @abstractmethod
    def part_chunks(self, part: Part) -> Iterator[bytes]:
        """The bytes of a part, in pieces."""

    def signatures(self) -> list[SignatureName]:
        """All statements of who has signed which parts, sorted."""
        return []

    def signature_chunks(self, name: SignatureName) -> Iterator[bytes]:
        """The bytes of such a statement, in pieces."""
        raise MissingError(f"{self.url} holds no signatures")

    def publish(
        self,
        parts: Sequence[LocalPart],
        entries: Sequence[LocalEntry],
        told: Told,
        *,
        again: bool = False,
        signatures: Sequence[LocalSignature] = (),
    ) -> None:
        """Adds all parts, then the signatures, then the entries; what has returned is there for everybody. Only
        where `can_write`.

        again: also parts that seem to be there, from a push that was cut off.
        """
        raise EdgetuneError(f"{self.url} can only be read: push to a folder, a bucket or a registry")

    def remove(self, entries: Sequence[EntryName]) -> None:
        """Removes index entries; what is not there any more is no error. Only where `can_remove`."""
        raise EdgetuneError(f"{self.url} lets nobody remove anything")

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Ends connections."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
