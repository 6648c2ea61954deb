"""Provenance: what a record says of the machine, without changing what older records are."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import targets
from compiler.errors import EdgetuneError
from compiler.records.exchange.lines import read_line, record_line
from compiler.records.provenance import NOTHING_KNOWN, Provenance, ThisMachine, of_readings
from compiler.records.prune import prune
from compiler.records.record import Record, check_record
from tests.records.samples import HASHES, record, store_with, trace

FP = "x86-avx2-2-abc123"


def test_ids_of_records_that_know_nothing_stay() -> None:
    assert record().id == "df3b9cd2556da4489a3b5ead00ba2dedce748aa91fc72b991f857a97bfd35153"  # as schema 1 had it
    known = record(provenance=Provenance(trials=3))
    assert known.id != record().id
    assert record(author="Ada").id == record().id
    assert record(provenance=NOTHING_KNOWN) == record()


def test_it_goes_through_the_store_and_through_a_line(tmp_path: Path) -> None:
    known = record(provenance=Provenance(trials=3, governor="schedutil", celsius=41.5, throttled=False), author="Ada")
    with store_with(tmp_path / "a.db", [known]) as store:
        (found,) = store.records()
    for one in (found, read_line(record_line(known).strip())):
        assert isinstance(one, Record)
        assert (one, one.provenance, one.author, one.id) == (known, known.provenance, "Ada", known.id)


@pytest.mark.parametrize(
    "bad",
    [Provenance(trials=0), Provenance(governor="a\nb"), Provenance(celsius=math.inf), Provenance(clock_mhz=-1.0)],
)
def test_what_makes_no_sense_is_refused(bad: Provenance) -> None:
    with pytest.raises(EdgetuneError, match="provenance"):
        check_record(record(provenance=bad))


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"trials":3', b'"trials":0'), (b'"trials":3', b'"trials":3,"more":1'), (b'"trials":3', b'"system":"a\\u0007"')],
)
def test_a_line_with_bad_provenance_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(EdgetuneError):
        read_line(record_line(record(provenance=Provenance(trials=3))).strip().replace(old, new))


def test_sensors_become_provenance() -> None:
    sensors = {
        "celsius": {"CPU": 51.2, "GPU": 48.0, "broken": float("nan"), "off": -5000.0},
        "clock_mhz": {"cpu0": 1000.0, "cpu1": 2000.0, "gpu": 900.0},
        "throttled": True,
    }
    on_cpu = of_readings(sensors, governor="schedutil", system="Linux 5.15\n aarch64")
    assert (on_cpu.celsius, on_cpu.clock_mhz, on_cpu.throttled) == (51.2, 1500.0, True)
    assert (on_cpu.governor, on_cpu.system) == ("schedutil", "Linux 5.15 aarch64")
    assert of_readings(sensors, gpu=True).clock_mhz == 900.0
    for strange in ({}, {"celsius": None, "clock_mhz": {"cpu0": "fast"}, "throttled": "no"}):
        assert of_readings(strange) == NOTHING_KNOWN


def test_this_machine_says_what_it_knows() -> None:
    found = ThisMachine(targets.get("native")).read()
    check_record(record(provenance=found.with_trials(7)))
    assert found.system is not None
    assert found.runtime is not None and found.runtime.startswith("LLVM ")
    assert found.trials is None and found.with_trials(7).trials == 7


def test_a_pruned_store_still_knows_how_many_trials_there_were(tmp_path: Path) -> None:
    known = [
        record(trace=trace(1, i), seconds=(0.001 * (9 - i),), provenance=Provenance(trials=i + 1)) for i in range(5)
    ]
    with store_with(tmp_path / "a.db", known) as store:
        assert store.trials(HASHES[0], FP) == 5
        prune(store, keep=1)
        assert store.fingerprints() == {FP: 1}
        assert store.trials(HASHES[0], FP) == 5
