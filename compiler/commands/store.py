"""Opening the record store as a command does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import targets
from compiler.errors import EdgetuneError, UsageError
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


@contextmanager
def store_to_fill(logs: str | None) -> Iterator[Store]:
    """The store as `open_store` opens it. Where there is none, it comes into being only once the body is through: what
    fails leaves no empty store behind, which would look like one that has lost its records."""
    folder = _folder(logs)
    path = folder / store.FILE_NAME
    if folder.is_file() or path.exists():
        with open_store(logs) as opened:
            yield opened
        return
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    new = folder / f".{store.FILE_NAME}.{os.getpid()}.part"
    try:
        with Store(new) as opened:
            yield opened
        _take_place(new, path)
    finally:
        for left in (new, *(new.with_name(new.name + end) for end in ("-wal", "-shm", "-journal"))):
            left.unlink(missing_ok=True)
        with suppress(OSError):  # not empty: the store is there
            for place in made:
                place.rmdir()


def _take_place(new: Path, path: Path) -> None:
    """Calls a new store by its name, unless another process has made one meanwhile, whose records would be lost."""
    try:
        os.link(new, path)
    except FileExistsError:
        raise EdgetuneError(f"another process has just made {path}: run the command again to add to it") from None
    except OSError:  # a file system without links
        new.rename(path)


NO_SHIPPED = "EDGETUNE_NO_SHIPPED_LOGS"
"""Set to anything, the records that come with edgetune are left out: for measuring what tuning itself brings."""


@contextmanager
def opened_store(logs: str | None, target: targets.Target, machine: targets.Machine | None = None) -> Iterator[Store]:
    """The store, after the records that come with edgetune for `target` as the machine (default: this one) is have been
    taken in; all of that target where it is none."""
    from compiler.records.shipped import import_shipped, shipped_fingerprints

    with open_store(logs) as opened:
        if not os.environ.get(NO_SHIPPED):
            own = targets.fingerprint(target, machine=machine)
            known = [own.id] if own.device != targets.GENERIC else shipped_fingerprints(target.name)
            for fingerprint in known:
                import_shipped(opened, fingerprint)
        yield opened


def device_at_hand(
    target: targets.Target, store: Store | None, machine: targets.Machine | None = None
) -> targets.Fingerprint:
    """The fingerprint whose records a package for `target` is built from.

    It is the machine's (default: this one's) where it can run the target; else that of the device with most records of
    exactly this target, since a board need not be at hand to compile for it.
    """
    own = targets.fingerprint(target, machine=machine)
    if own.device != targets.GENERIC or store is None:
        return own
    found = store.devices(target.config(), target.cores, own.tvm_version)
    return targets.fingerprint(target, found[0]) if found else own


def must_agree(logs: str | None, zero_trial: bool) -> None:
    """Raises UsageError where records are both named and not wanted."""
    if zero_trial and logs is not None:
        raise UsageError("--zero-trial uses no records, and --logs names some: give one of them")


@contextmanager
def records_at_hand(
    logs: str | None, target: targets.Target, zero_trial: bool, machine: targets.Machine | None = None
) -> Iterator[Store | None]:
    """The store as `opened_store` opens it, or None with `zero_trial`."""
    if zero_trial:
        yield None
        return
    with opened_store(logs, target, machine) as opened:
        yield opened


def _folder(logs: str | None) -> Path:
    return store.default_folder() if logs is None else Path(logs)
