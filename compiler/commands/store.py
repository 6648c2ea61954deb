"""Opening the record store as a command does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import targets
from compiler.errors import UsageError
from compiler.records import store
from compiler.records.store import Store


def open_store(logs: str | None) -> Store:
    """The store in the folder `logs`, or the user's. Raises UsageError where `logs` is a file."""
    if logs is not None and Path(logs).exists() and not Path(logs).is_dir():
        raise UsageError(f"--logs {logs}: this is a file; give a folder")
    return store.open_store(_folder(logs))


def existing_store(logs: str | None) -> Store:
    """The store as `open_store` opens it. Raises UsageError where there is none: to look for records makes no store."""
    folder = _folder(logs)
    if not folder.is_file() and not (folder / store.FILE_NAME).exists():
        raise UsageError(f"there are no records in {folder}: `edgetune tune` and `edgetune logs import` make some")
    return open_store(logs)


NO_SHIPPED = "EDGETUNE_NO_SHIPPED_LOGS"
"""Set to anything, the records that come with edgetune are left out: for measuring what tuning itself brings."""


@contextmanager
def opened_store(logs: str | None, target: targets.Target) -> Iterator[Store]:
    """The store, after the records that come with edgetune for `target` as it is here have been taken in."""
    from compiler.records.shipped import import_shipped

    with open_store(logs) as opened:
        if not os.environ.get(NO_SHIPPED):
            import_shipped(opened, targets.fingerprint(target).id)
        yield opened


def must_agree(logs: str | None, zero_trial: bool) -> None:
    """Raises UsageError where records are both named and not wanted."""
    if zero_trial and logs is not None:
        raise UsageError("--zero-trial uses no records, and --logs names some: give one of them")


@contextmanager
def records_at_hand(logs: str | None, target: targets.Target, zero_trial: bool) -> Iterator[Store | None]:
    """The store as `opened_store` opens it, or None with `zero_trial`."""
    if zero_trial:
        yield None
        return
    with opened_store(logs, target) as opened:
        yield opened


def _folder(logs: str | None) -> Path:
    return store.default_folder() if logs is None else Path(logs)
