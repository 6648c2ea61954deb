"""The logs that come with edgetune, of another device that is similar: a search begins there where this has none."""

from __future__ import annotations

from pathlib import Path

import targets
from compiler.errors import EdgetuneError
from compiler.records.exchange.lines import read_line
from compiler.records.nearest.devices import Device
from compiler.records.record import Record
from compiler.records.shipped import import_shipped, shipped_folder
from compiler.records.store import Store


def import_nearest_shipped(
    store: Store, target: targets.Target, device: targets.Fingerprint, folder: Path | None = None
) -> str | None:
    """Imports the shipped logs of the device nearest to `device`, unless the store has records of `device` itself or
    they are there already; the fingerprint that they are of, None where there are none.

    They stay what they are, another device's. Raises EdgetuneError where the store cannot be written.
    """
    folder = folder or shipped_folder()
    if folder is None or device.id in store.fingerprints():
        return None
    own = Device(device.id, target.config(), device.device, target.cores)
    found = []
    for path in sorted(folder.glob("*-*")):
        other = _device(path)
        distance = own.distance(other) if other is not None else None
        if distance is not None:
            found.append((distance, path.name))
    if not found:
        return None
    [(_, nearest), *_] = sorted(found)
    import_shipped(store, nearest, folder)
    return nearest


def _device(folder: Path) -> Device | None:
    """The device that a folder's records are of, as its first one says."""
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                try:
                    record = read_line(line)
                except EdgetuneError:
                    continue
                if isinstance(record, Record):
                    return Device(record.fingerprint, record.target, record.device, record.threads)
    return None
