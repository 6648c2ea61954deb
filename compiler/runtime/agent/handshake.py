"""What a client says first, taken apart byte by byte: never more is read than belongs to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from compiler.runtime.rpc import wire

_LIMIT_OPTION = "-timeout="


@dataclass(frozen=True)
class Request:
    """What the client wants: its first word, and the limit in seconds that it asks for its session, None if none."""

    word: str
    limit: float | None = None

    @property
    def session_key(self) -> str | None:
        """The key that a session is asked for with; None where none is asked for."""
        return self.word.removeprefix(wire.SESSION) if self.word.startswith(wire.SESSION) else None


class Handshake:
    """Takes the bytes of a handshake: `wanted` says how many to read next, `take` takes them."""

    def __init__(self) -> None:
        self.wanted = 4
        self._data = b""
        self._step: Callable[[bytes], Request | None] = self._magic

    def take(self, data: bytes) -> Request | None:
        """The request when it is complete, else None. Raises WireError for what is no handshake."""
        self._data += data
        self.wanted -= len(data)
        if self.wanted:
            return None
        whole, self._data = self._data, b""
        return self._step(whole)

    def _magic(self, data: bytes) -> None:
        if wire.unpack_int(data) != wire.MAGIC:
            raise wire.WireError("it began with other bytes")
        self.wanted, self._step = 4, self._length

    def _length(self, data: bytes) -> None:
        length = wire.unpack_int(data)
        if not 0 < length <= wire.MAX_KEY:
            raise wire.WireError(f"its key has {length} bytes")
        self.wanted, self._step = length, self._key

    def _key(self, data: bytes) -> Request:
        try:
            words = data.decode().split()
        except UnicodeDecodeError:
            raise wire.WireError("its key is not UTF-8") from None
        if not words or not (words[0] == wire.STATUS or words[0].startswith(wire.SESSION)):
            raise wire.WireError("it asked for what there is not")
        return Request(words[0], _limit(words[1:]))


def _limit(options: list[str]) -> float | None:
    limit = None
    for option in options:
        if option.startswith(_LIMIT_OPTION):
            try:
                seconds = float(option.removeprefix(_LIMIT_OPTION))
            except ValueError:
                continue
            if math.isfinite(seconds) and seconds > 0:
                limit = seconds
    return limit
