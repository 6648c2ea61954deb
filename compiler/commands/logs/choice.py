"""What several `logs` commands ask of a store and of a place to write to."""

from __future__ import annotations

from pathlib import Path

from compiler.errors import EdgetuneError, UsageError
from compiler.places import must_hold_files
from compiler.records.store import Store


def must_know(store: Store, fingerprint: str | None) -> None:
    """Raises UsageError for a fingerprint that the store has no records of."""
    if fingerprint is not None and fingerprint not in store.fingerprints():
        raise UsageError(f"{store.path} has no records of {fingerprint}; `edgetune logs list` lists what it has")


def check_place(path: Path) -> None:
    """Raises EdgetuneError where nothing can be exported to: a folder is made, but not the one that it lies in."""
    if path.suffix == ".jsonl" and path.is_dir():
        raise EdgetuneError(f"cannot write {path}: it is a folder")
    if path.suffix != ".jsonl" and path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: name a folder, or a file whose name ends in .jsonl")
    must_hold_files(path if path.is_dir() else path.absolute().parent, path)
