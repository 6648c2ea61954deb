"""Cells: what makes two results measurements of the same thing, and how a cell is called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from compiler.bench.result import Result


class Key(NamedTuple):
    """Results with the same key are measurements of one thing."""

    model: str
    model_sha256: str
    device: str
    target: str
    fingerprint: str
    batch: int | None
    precision: str
    engine: str
    threads: int


@dataclass(frozen=True)
class Cell:
    """All results of one key, the oldest first; there is at least one."""

    key: Key
    results: Sequence[Result]

    @property
    def last(self) -> Result:
        """The newest one with figures; the newest at all where none has any."""
        measured = [result for result in self.results if result.latency_ms is not None]
        return (measured or list(self.results))[-1]


def cells(results: Iterable[Result]) -> list[Cell]:
    """The cells of `results` (oldest first), by model, device, batch, precision; in each, edgetune before its peers."""
    found: dict[Key, list[Result]] = {}
    for r in results:
        key = Key(r.model, r.model_sha256, r.device, r.target, r.fingerprint, r.batch, r.precision, r.engine, r.threads)
        found.setdefault(key, []).append(r)
    made = [Cell(key, members) for key, members in found.items()]
    # A cell that failed says nothing of its model's content or threads: a later success replaces it all the same.
    measured = {_place(cell.key) for cell in made if cell.last.latency_ms is not None}
    kept = [cell for cell in made if cell.last.latency_ms is not None or _place(cell.key) not in measured]
    return sorted(kept, key=lambda cell: _order(cell.key))


def setup(result: Result, devices: int) -> str:
    """Batch and precision, and where there are several devices, which."""
    words = [short_device(result.device)] if devices > 1 else []
    words.append("no batch" if result.batch is None else f"batch {result.batch}")
    return " · ".join([*words, result.precision])


def short_device(name: str) -> str:
    """A device's name without what all of its kind carry."""
    for noise in ("(R)", "(TM)", " Processor", " CPU"):
        name = name.replace(noise, "")
    return " ".join(name.split())


def _place(key: Key) -> tuple[object, ...]:
    return key.model, key.device, key.target, key.batch, key.precision, key.engine


def _order(key: Key) -> tuple[object, ...]:
    batch = -1 if key.batch is None else key.batch
    return key.model, key.device, key.target, batch, key.precision != "fp32", key.precision, *_engine_order(key)


def _engine_order(key: Key) -> tuple[object, ...]:
    return key.engine != "edgetune", key.engine, key.threads, key.fingerprint, key.model_sha256
