"""Asking a store for the records nearest to a kernel: of similar kernels, on this device and on similar ones."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from compiler.records.nearest.devices import Device
from compiler.records.nearest.kernels import MAX_IR_BYTES, Kernel, read_kernel
from compiler.records.record import Record
from compiler.records.store import Store

KERNELS = 16  # the nearest ones whose records are looked at
RECORDS = 3  # of each, the fastest
_NOTE = "kernel sizes 1 "
"""How the notes begin in which a store keeps what `read_kernel` found, so that it is read once; then the hash."""


@dataclass(frozen=True)
class Neighbour:
    """A record of a similar kernel. `distance` is that of the kernels and of the devices together; `slower` is its time
    over that of the fastest record of its kernel and device, from 1."""

    record: Record
    distance: float
    slower: float


@dataclass(frozen=True)
class Lesson:
    """A kernel with records on a device, from which something may be learned about others."""

    workload: str
    fingerprint: str
    kernel: Kernel


@dataclass(frozen=True)
class _Known:
    """A kernel with records on a device."""

    workload: str
    kernel: Kernel
    fingerprint: str
    distance: float  # of the device


class Nearest:
    """The records of a store by how near they are. What kernels there are records of is looked up once, at first.

    Nothing of what is found is a claim about `device` but what its own fingerprint has; traces are to be read, not
    applied. Records that are quarantined are left out.
    """

    def __init__(self, store: Store, device: Device) -> None:
        """Raises EdgetuneError where the store cannot be read."""
        self._store = store
        self._tops: dict[tuple[str, str], list[Record]] = {}
        known: dict[str, list[str]] = {}
        for workload, fingerprint in store.query("SELECT workload, fingerprint FROM tasks"):
            known.setdefault(fingerprint, []).append(workload)
        distances = {f: self._device_distance(device, f, workloads[0]) for f, workloads in known.items()}
        near = {f: distance for f, distance in distances.items() if distance is not None}
        kernels = _kernels(store, {workload for f in near for workload in known[f]})
        self._known = [
            _Known(workload, kernels[workload], f, distance)
            for f, distance in sorted(near.items(), key=lambda item: (item[1], item[0]))
            for workload in sorted(known[f])
            if workload in kernels
        ]

    @property
    def empty(self) -> bool:
        """Whether there is nothing that could be near to anything."""
        return not self._known

    def records(self, kernel: Kernel, workload: str, fingerprint: str) -> list[Neighbour]:
        """The records nearest to `kernel`, the nearest first: up to RECORDS of each of up to KERNELS.

        Those of `workload` on `fingerprint`, which are its own, are not among them.
        """
        ranked = []
        for known in self._known:
            far = kernel.distance(known.kernel)
            if far is not None and (known.workload, known.fingerprint) != (workload, fingerprint):
                ranked.append((far + known.distance, known.workload, known.fingerprint))
        found: list[Neighbour] = []
        kernels = 0
        for distance, other, device in sorted(ranked):
            records = self._top(other, device)
            if records:
                fastest = records[0].median or 0.0
                found += [Neighbour(r, distance, (r.median or 0.0) / fastest) for r in records]
                kernels += 1
            if kernels == KERNELS:
                break
        return found

    def kernels(self, wanted: Iterable[Kernel], without: Collection[str]) -> list[Lesson]:
        """What is nearest to any of `wanted`, the nearest first, each workload once, on its nearest device."""
        targets = list(dict.fromkeys(wanted))
        best: dict[str, tuple[float, Lesson]] = {}
        for known in self._known:  # the nearest device first
            if known.workload in without or known.workload in best:
                continue
            far = [d for d in (kernel.distance(known.kernel) for kernel in targets) if d is not None]
            if far:
                lesson = Lesson(known.workload, known.fingerprint, known.kernel)
                best[known.workload] = (min(far) + known.distance, lesson)
        return [best[workload][1] for workload in sorted(best, key=lambda one: (best[one][0], one))]

    def _top(self, workload: str, fingerprint: str) -> list[Record]:
        key = workload, fingerprint
        if key not in self._tops:
            self._tops[key] = self._store.top(workload, fingerprint, RECORDS)
        return self._tops[key]

    def _device_distance(self, device: Device, fingerprint: str, workload: str) -> float | None:
        """How far a fingerprint is, by what one of its records says."""
        if fingerprint == device.fingerprint:
            return 0.0
        sql = "SELECT target, device, threads FROM records WHERE workload = ? AND fingerprint = ? LIMIT 1"
        [(target, name, threads)] = self._store.query(sql, (workload, fingerprint))
        return device.distance(Device(fingerprint, msgspec.json.decode(target), name, threads))


def _kernels(store: Store, workloads: Collection[str]) -> dict[str, Kernel]:
    """Kind and sizes of those of `workloads` that have something to choose."""
    found: dict[str, Kernel] = {}
    seen = set()
    for key, value in store.query("SELECT key, value FROM notes WHERE key >= ? AND key < ?", (_NOTE, _NOTE + "~")):
        workload = key[len(_NOTE) :]
        try:
            kernel = msgspec.json.decode(value, type=Kernel) if value else None
        except msgspec.MsgspecError:
            continue  # it is read again
        seen.add(workload)
        if kernel is not None and workload in workloads:
            found[workload] = kernel
    notes: dict[str, str] = {}
    for workload in sorted(set(workloads) - seen):
        kernel = _read(store, workload)
        notes[_NOTE + workload] = _to_note(kernel)
        if kernel is not None:
            found[workload] = kernel
    if notes:
        store.set_notes(notes)
    return found


def _read(store: Store, workload: str) -> Kernel | None:
    packed = store.workload_packed(workload)
    if packed is None:
        return None
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed[1], MAX_IR_BYTES)
        return read_kernel(text.decode()) if unpacker.eof else None
    except (zlib.error, UnicodeError):
        return None


def _to_note(kernel: Kernel | None) -> str:
    return "" if kernel is None else msgspec.json.encode(kernel).decode()


def counted(neighbours: Mapping[str, Iterable[Neighbour]]) -> tuple[int, int]:
    """How many different records, and of how many kernels, are among the neighbours of several tasks."""
    records = {n.record.id: n.record.workload for some in neighbours.values() for n in some}
    return len(records), len(set(records.values()))
