"""Going on from a run that was interrupted or killed: which run that is, and what it has spent."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from compiler.records.store import Store


class Run:
    """A tuning run, known to the store from its first moment until it has ended.

    `id` is in each of its records. `seconds` is what it spent before, 0 for a new one.
    """

    def __init__(self, store: Store, command: str) -> None:
        """Go on with the run of `command` that was left unfinished in this store, or begin one.

        A run that another process is at is left to it.
        """
        self._store = store
        self._key = f"run of {command}"
        left = _parse(store.note(self._key))
        if left is not None and not _alive(left):
            self.id, self.seconds = str(left["id"]), float(left["seconds"])
        else:
            self.id, self.seconds = uuid.uuid4().hex, 0.0
        self.save(self.seconds)

    def save(self, seconds: float) -> None:
        """Note that this process is at the run and has spent `seconds`."""
        self._write(seconds, psutil.Process())

    def leave(self, seconds: float) -> None:
        """Note that the run is unfinished and nobody is at it."""
        self._write(seconds, None)

    def finish(self) -> None:
        """Note that the run has ended: the same command begins a new one."""
        self._store.set_note(self._key, "")

    def _write(self, seconds: float, owner: psutil.Process | None) -> None:
        note = {"id": self.id, "seconds": round(seconds, 1), "pid": owner and owner.pid}
        note["born"] = owner and owner.create_time()
        self._store.set_note(self._key, json.dumps(note))


def _parse(note: str | None) -> dict[str, Any] | None:
    return json.loads(note) if note else None


def _alive(left: dict[str, Any]) -> bool:
    """Whether the process that was at the run still is; its number alone may be another's by now."""
    if left["pid"] is None:
        return False
    try:
        return bool(psutil.Process(left["pid"]).create_time() == left["born"])
    except psutil.Error:
        return False
