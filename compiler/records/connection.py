"""One SQLite file: opened, locked between threads, its failures turned into one line."""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from compiler.errors import EdgetuneError
from compiler.records import schema

_T = TypeVar("_T")
_Self = TypeVar("_Self", bound="Connection")


class Connection:
    """The file under a Store. What a transaction has returned from is on disk."""

    def __init__(self, path: Path | str, *, timeout_s: float = 60.0) -> None:
        """Opens `path` (its folder is made too); waits up to `timeout_s` seconds for other processes' writes."""
        self.path = Path(path)
        self._timeout_s = timeout_s
        self._lock = threading.RLock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgetuneError(f"cannot make the folder {self.path.parent}: {error.strerror}") from None
        with self._guard():
            self._connection = schema.connect(self.path, timeout_s)

    def close(self) -> None:
        """Closes the file; the last process to do so folds the write-ahead log into it."""
        with self._lock:
            self._connection.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def compact(self) -> bool:
        """Gives the space of removed records back to the file system; False while other processes are in the way."""
        with self._lock, self._guard():
            try:
                self._connection.execute("VACUUM")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                return False
            return bool(self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction on the raw connection, rolled back when the body raises."""
        with self._lock, self._guard():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def query(
        self,
        sql: str,
        values: Sequence[Any] | Mapping[str, Any] = (),
        convert: Callable[[tuple[Any, ...]], Any] = tuple,
    ) -> list[Any]:
        """All rows of a look-up, each through `convert`."""
        with self._lock, self._guard():
            return [convert(row) for row in self._connection.execute(sql, values)]

    def stream(self, sql: str, values: tuple[Any, ...], convert: Callable[[tuple[Any, ...]], _T]) -> Iterator[_T]:
        """Rows of one snapshot, on a connection of its own: long readers and writers do not stop each other."""
        with self._guard():
            connection = schema.connect(self.path, self._timeout_s)
            try:
                for row in connection.execute(sql, values):
                    yield convert(row)
            finally:
                connection.close()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turns what SQLite, zlib and the decoder say of a damaged or unreachable file into one line."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise EdgetuneError(f"cannot use the record store {self.path}: {error}") from None
        except (sqlite3.Error, zlib.error, msgspec.MsgspecError, KeyError, TypeError, UnicodeError) as error:
            raise EdgetuneError(
                f"record store {self.path} is damaged ({error}): restore it, or move it away to start a new one"
            ) from None
