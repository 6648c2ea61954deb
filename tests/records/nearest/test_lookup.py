"""Asking a store for the nearest records."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import targets
from compiler.records.nearest import lookup
from compiler.records.nearest.devices import Device
from compiler.records.nearest.kernels import Kernel
from compiler.records.nearest.lookup import Nearest, counted
from compiler.records.record import Record
from compiler.records.store import Store
from compiler.records.trust import verdicts
from compiler.records.trust.verdicts import Verdict
from tests.records.nearest.ir import workload
from tests.records.samples import failed, record, trace

OWN = targets.get("x86-znver4", 2).config()
DEVICE = Device("own", OWN, "AMD EPYC", 2)
CONV = Kernel("conv2d", (1, 28, 28, 64, 3, 3, 32))


def of(number: int, seconds: float, fingerprint: str = "own", **changes: object) -> Record:
    """A record of the workload made with `number`."""
    values = {"workload": f"{number:016x}", "fingerprint": fingerprint, "seconds": (seconds,), "target": OWN}
    return record(**{**values, "device": "AMD EPYC", "trace": trace(1 + int(seconds * 1e6)), **changes})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """1: the kernel itself; 2: half its channels; 3: its batch 16; 4: far away; 5: another kind."""
    with Store(tmp_path / "records.db") as opened:
        sizes = [(1, 64, 32), (1, 32, 32), (16, 64, 32), (1, 4096, 4096)]
        for number, (n, co, ci) in enumerate(sizes, 1):
            opened.add_workload(workload(number, "conv2d", (n, 28, 28, co, 3, 3, ci)))
        opened.add_workload(workload(5, "dense", (1, 64, 32)))
        opened.add_workload(workload(6, "lrn", (1, 64, 32)))
        yield opened


def test_the_nearest_come_first_and_the_own_are_not_among_them(store: Store) -> None:
    store.add_many([of(n, n * 1e-3) for n in (1, 2, 3, 4, 5, 6)])
    found = Nearest(store, DEVICE).records(CONV, f"{1:016x}", "own")
    assert [(n.record.workload[-1], n.distance, n.slower) for n in found] == [("2", 1.0, 1.0), ("3", 1.0, 1.0)]
    assert counted({"a": found, "b": found[:1]}) == (2, 2)


def test_the_fastest_of_each_kernel_with_how_much_slower_they_are(store: Store) -> None:
    store.add_many([of(2, seconds * 1e-3) for seconds in (4.0, 1.0, 2.0, 8.0)])
    store.add(failed(workload=f"{2:016x}", fingerprint="own", trace=trace(99)))
    found = Nearest(store, DEVICE).records(CONV, f"{1:016x}", "own")
    assert [n.slower for n in found] == [1.0, 2.0, 4.0]


def test_similar_devices_come_after_this_one_and_others_not_at_all(store: Store) -> None:
    arm = targets.get("arm-neoverse-n1", 2).config()
    store.add_many(
        [
            of(1, 1e-3, "more-cores", threads=4),
            of(2, 1e-3, "own"),
            of(2, 1e-9, "board", target=arm, device="Arm Neoverse N1"),
        ]
    )
    found = Nearest(store, DEVICE).records(CONV, f"{1:016x}", "own")
    # The kernel itself on a device with twice the cores is nearer than another kernel here.
    assert [(n.record.fingerprint, n.distance) for n in found] == [("more-cores", 0.75), ("own", 1.0)]


def test_what_is_quarantined_is_left_out(store: Store) -> None:
    bad = of(2, 1e-3)
    store.add_many([bad], origin="a stranger")
    verdicts.keep(store, [(bad.workload, bad.trace_id, Verdict.QUARANTINED, "it does not apply")])
    assert Nearest(store, DEVICE).records(CONV, f"{1:016x}", "own") == []


def test_only_so_many_kernels_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "KERNELS", 1)
    store.add_many([of(n, 1e-3) for n in (2, 3)])
    assert len(Nearest(store, DEVICE).records(CONV, f"{1:016x}", "own")) == 1


def test_kernels_to_learn_from(store: Store) -> None:
    store.add_many([of(1, 1e-3, "more-cores", threads=4), of(1, 1e-3), of(2, 1e-3), of(5, 1e-3)])
    nearest = Nearest(store, DEVICE)

    def found(*asked: object) -> list[tuple[str, str]]:
        return [(lesson.workload, lesson.fingerprint) for lesson in nearest.kernels(*asked)]  # type: ignore[arg-type]

    two = (f"{2:016x}", "own")
    assert found([CONV], ()) == [(f"{1:016x}", "own"), two]
    assert found([CONV, CONV], {f"{1:016x}"}) == [two]
    assert found([], ()) == []
    assert nearest.kernels([CONV], ())[0].kernel == CONV


def test_kernels_are_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add_many([of(n, 1e-3) for n in (2, 3, 6)])
    first = Nearest(store, DEVICE).records(CONV, f"{1:016x}", "own")
    monkeypatch.setattr(lookup, "read_kernel", None)
    assert Nearest(store, DEVICE).records(CONV, f"{1:016x}", "own") == first
    with store.transaction() as db:
        db.execute("UPDATE notes SET value = '{' WHERE key LIKE 'kernel sizes%'")
    monkeypatch.undo()
    assert Nearest(store, DEVICE).records(CONV, f"{1:016x}", "own") == first, "damaged notes are made anew"


def test_kernels_that_unpack_to_nonsense_are_passed_over(store: Store) -> None:
    store.add_many([of(n, 1e-3) for n in (2, 3)])
    with store.transaction() as db:
        bomb = zlib.compress(b" " * (lookup.MAX_IR_BYTES + 1))
        db.execute("UPDATE workloads SET ir = ? WHERE hash = ?", (bomb, f"{2:016x}"))
        db.execute("UPDATE workloads SET ir = ? WHERE hash = ?", (b"no zlib", f"{3:016x}"))
    nearest = Nearest(store, DEVICE)
    assert nearest.empty
    assert nearest.records(CONV, f"{1:016x}", "own") == []


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert Nearest(store, DEVICE).empty
