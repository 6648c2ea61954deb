"""The logs that come with edgetune for a similar device, where there are none for this one."""

from __future__ import annotations

from pathlib import Path

import pytest

import targets
from compiler.records.exchange.export import export_folder
from compiler.records.nearest.shipped import import_nearest_shipped
from compiler.records.store import Store
from tests.records.nearest.ir import workload
from tests.records.samples import record

TARGET = targets.get("x86-znver4", 2)
DEVICE = targets.fingerprint(TARGET, "AMD EPYC")


def claim(fingerprint: targets.Fingerprint, target: targets.Target) -> object:
    """A record of that device."""
    return record(
        workload=f"{1:016x}",
        fingerprint=fingerprint.id,
        target=target.config(),
        device=fingerprint.device,
        threads=target.cores,
    )


@pytest.fixture
def shipped(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder of logs of three devices, and their fingerprints by the names of their targets."""
    names = {}
    folder = tmp_path / "logs"
    with Store(tmp_path / "from.db") as store:
        store.add_workload(workload(1, "dense", (1, 64, 32)))
        for name, cores, device in (
            ("x86-znver4", 8, "AMD EPYC"),
            ("x86-sapphirerapids", 2, "Intel Xeon"),
            ("arm-neoverse-n1", 2, "Arm Neoverse N1"),
        ):
            target = targets.get(name, cores)
            fingerprint = targets.fingerprint(target, device)
            names[name] = fingerprint.id
            store.add(claim(fingerprint, target))  # type: ignore[arg-type]
        export_folder(store, folder)
    return folder, names


def test_the_nearest_is_taken_in_and_stays_another_devices(
    shipped: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, names = shipped
    with Store(tmp_path / "to.db") as store:
        assert import_nearest_shipped(store, TARGET, DEVICE, folder) == names["x86-znver4"]
        assert store.fingerprints() == {names["x86-znver4"]: 1}
        assert store.best(f"{1:016x}", DEVICE.id) is None
        assert import_nearest_shipped(store, TARGET, DEVICE, folder) == names["x86-znver4"]
        assert store.fingerprints() == {names["x86-znver4"]: 1}


def test_own_records_need_no_others(shipped: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, _ = shipped
    with Store(tmp_path / "to.db") as store:
        store.add_workload(workload(1, "dense", (1, 64, 32)))
        store.add(claim(DEVICE, TARGET))  # type: ignore[arg-type]
        assert import_nearest_shipped(store, TARGET, DEVICE, folder) is None
        assert list(store.fingerprints()) == [DEVICE.id]


def test_where_nothing_is_similar_nothing_is_taken_in(shipped: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, _ = shipped
    old = targets.get("x86-sse42", 2)
    with Store(tmp_path / "to.db") as store:
        assert import_nearest_shipped(store, old, targets.fingerprint(old, "an old one"), folder) is None
        assert store.fingerprints() == {}
        assert import_nearest_shipped(store, old, targets.fingerprint(old, "an old one"), tmp_path / "none") is None
