"""The store: what goes in comes out, the best is the robust best, damaged and foreign files are left alone."""

from __future__ import annotations

import dataclasses
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings

from compiler.errors import EdgetuneError
from compiler.records import schema
from compiler.records.record import CHECK_RUN, Record, Workload, clean_error, is_time, now
from compiler.records.store import Store, open_store
from tests.records.samples import HASHES, WORKLOADS, failed, record, records, store_with, trace

FP = "x86-avx2-2-abc123"


@pytest.fixture
def store(tmp_path: Path):
    with store_with(tmp_path / "records.db", []) as opened:
        yield opened


def test_a_record_comes_back_as_it_went_in(store: Store) -> None:
    one = record(extra={"governor": "performance", "clocks": [1, 2.5, None]}, checked=True)
    assert store.add(one)
    assert not store.add(one)
    assert list(store.records()) == [one]
    assert store.best(HASHES[0], FP) == one
    assert store.workload(HASHES[0]) == WORKLOADS[0]
    assert store.workload("f" * 16) is None
    assert list(store.workloads()) == WORKLOADS


@settings(max_examples=40, deadline=None)
@given(one=records())
def test_any_record_survives_the_store(one: Record, tmp_path_factory: pytest.TempPathFactory) -> None:
    with store_with(tmp_path_factory.mktemp("s") / "records.db", [one]) as opened:
        (back,) = opened.records()
        assert back == one
        assert back.id == one.id
        assert hash(back) == hash(one)


def test_the_median_decides_and_not_a_lucky_repeat(store: Store) -> None:
    lucky = record(trace=trace(1), seconds=(0.0001, 0.009, 0.009))
    steady = record(trace=trace(2), seconds=(0.002, 0.002, 0.002))
    store.add_many([lucky, steady])
    assert [r.trace for r in store.top(HASHES[0], FP, 5)] == [steady.trace, lucky.trace]


def test_the_newest_measurement_of_a_trace_stands_for_it(store: Store) -> None:
    old = record(trace=trace(1), seconds=(0.001,), created="2025-01-01T00:00:00.000000Z")
    new = record(trace=trace(1), seconds=(0.005,), created="2025-06-01T00:00:00.000000Z")
    other = record(trace=trace(2), seconds=(0.002,))
    store.add_many([new, old, other])
    assert store.top(HASHES[0], FP, 5) == [other, new]
    store.add(failed(trace=trace(2), created="2025-06-01T00:00:00.000000Z"))
    assert store.top(HASHES[0], FP, 5) == [new]


def test_failed_and_wrong_results_count_but_never_win(store: Store) -> None:
    store.add_many([failed(trace=trace(1)), record(trace=trace(2), checked=False, seconds=(1e-9,))])
    assert store.best(HASHES[0], FP) is None
    assert store.trials(HASHES[0], FP) == 2
    assert store.tried(HASHES[0], FP) == {failed(trace=trace(1)).trace_id, record(trace=trace(2)).trace_id}
    (line,) = store.summary()
    assert (line.trials, line.failed, line.best_seconds, line.name) == (2, 2, None, "conv0")


def test_look_ups_never_cross_fingerprints(store: Store) -> None:
    store.add(record())
    assert store.best(HASHES[0], "other") is None
    assert store.best(HASHES[1], FP) is None
    assert store.trials(HASHES[0], "other") == 0
    assert store.fingerprints() == {FP: 1}
    assert store.summary("other") == []


def test_records_of_another_tvm_are_found_only_on_request(store: Store) -> None:
    old = record(fingerprint="older", tvm_version="0.26.0")
    store.add_many([old, record(fingerprint="elsewhere", tvm_version="0.26.0", device="Other CPU", seconds=(1e-6,))])
    here = {"device": "Some CPU", "threads": 2, "tvm_version": "0.27.0"}
    target = {"num-cores": 2, "mcpu": "haswell", "kind": "llvm"}
    assert store.best_other_version(HASHES[0], target=target, **here) == old
    assert store.best_other_version(HASHES[0], target={"kind": "llvm"}, **here) is None
    assert store.best_other_version(HASHES[0], target=target, **{**here, "tvm_version": "0.26.0"}) is None
    wrong = dataclasses.replace(old, checked=False, created=now(), run=CHECK_RUN)
    store.add(wrong)
    assert store.best_other_version(HASHES[0], target=target, **here) is None, "it was found to be wrong"


def test_a_check_is_no_trial_but_stands_for_one_that_was_pruned(store: Store) -> None:
    trial = record()
    store.add_many([trial, failed(trace=trace(1))])
    store.add(dataclasses.replace(trial, checked=True, created=now(), run=CHECK_RUN))
    assert store.trials(HASHES[0], FP) == 2 == store.summary()[0].trials
    with open_store(store.path.parent / "shared") as other:
        other.add_workload(WORKLOADS[0])
        other.add_many(store.top(HASHES[0], FP, 1))
        assert other.trials(HASHES[0], FP) == 1 == other.summary()[0].trials
        assert other.trials(HASHES[1], FP) == 0


def test_a_run_can_count_what_it_has_done(store: Store) -> None:
    store.add_many([record(), failed(trace=trace(1)), record(workload=HASHES[1]), record(run="run-2")])
    assert store.trials(HASHES[0], FP, "run-1") == 2
    assert store.run_trials("run-1") == {HASHES[0]: 2, HASHES[1]: 1}
    assert [r.workload for r in store.records(run="run-1", workload=HASHES[1])] == [HASHES[1]]


def test_a_record_without_its_workload_is_refused_and_nothing_of_the_batch_is_kept(store: Store) -> None:
    with pytest.raises(EdgetuneError, match="add it first"):
        store.add_many([record(), record(workload="f" * 16)])
    assert list(store.records()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": (float("nan"),)},
        {"seconds": (float("inf"),)},
        {"seconds": (0.0,)},
        {"seconds": (-1.0,)},
        {"seconds": (1,)},
        {"seconds": ()},
        {"error": "but it has seconds"},
        {"error": "two\nlines", "seconds": ()},
        {"workload": "not hex"},
        {"fingerprint": "../up"},
        {"created": "2025-01-31 12:00"},
        {"created": "2025-02-31T12:00:00.000000Z"},
        {"threads": -1},
        {"threads": True},
        {"seed": 2**70},
        {"device": "red \x1b[31m"},
        {"device": "left \u202e right"},
        {"device": "half \ud800"},
        {"extra": {"x": float("nan")}},
        {"extra": {"x": {1, 2}}},
        {"target": {"x": "y" * 70_000}},
        {"trace": "[[], []]"},
        {"trace": "[]"},
        {"trace": "no"},
        {"device": type("String", (str,), {})("TVM's")},
        {"target": {"kind": type("String", (str,), {})("llvm")}},
    ],
)
def test_invalid_records_are_refused_in_one_line(store: Store, changes: dict) -> None:
    with pytest.raises(EdgetuneError) as caught:
        store.add(record(**changes))
    assert "\n" not in str(caught.value)
    assert list(store.records()) == []


def test_helpers_make_valid_fields(store: Store) -> None:
    assert is_time(now())
    text = clean_error("error:\n\tTVM \x1b[31mfailed\x00 " + "x" * 9_000)
    assert text.startswith("error: TVM [31mfailed xxx")
    assert clean_error("\n") == "failed without a message"
    assert store.add(failed(error=text, created=now()))


def test_a_local_text_of_a_workload_wins_over_an_imported_one(tmp_path: Path) -> None:
    mine = Workload("a" * 16, "mine", '{"nodes":[1]}')
    theirs = Workload("a" * 16, "theirs", '{"nodes":[2]}')
    for order in ([(mine, False), (theirs, True)], [(theirs, True), (mine, False)]):
        with Store(tmp_path / order[0][0].name / "records.db") as opened:
            for workload, imported in order:
                opened.add_workload(workload, imported=imported)
            assert opened.workload("a" * 16) == mine


def test_threads_share_a_store(store: Store) -> None:
    def work(number: int) -> None:
        for i in range(20):
            store.add(record(seed=number * 1000 + i))
            store.best(HASHES[0], FP)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.trials(HASHES[0], FP) == 80


def test_reading_does_not_see_half_a_batch_nor_block_writers(store: Store) -> None:
    store.add_many([record(seed=i) for i in range(10)])
    reader = store.records()
    next(reader)
    store.add_many([record(seed=i) for i in range(10, 20)])
    assert len(list(reader)) == 9
    assert len(list(store.records())) == 20


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    store_with(path, []).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    connection.close()
    _refused(path, "update edgetune")


def test_an_older_schema_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records.db"
    store_with(path, [record()]).close()
    monkeypatch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
    newest = schema.SCHEMA_VERSION - 1
    monkeypatch.setitem(schema.MIGRATIONS, newest, lambda db: db.execute("ALTER TABLE records ADD COLUMN mood TEXT"))
    with Store(path) as opened:
        assert opened.query("PRAGMA user_version")[0][0] == newest + 1
        assert opened.query("SELECT mood FROM records") == [(None,)]


def test_a_failing_migration_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records.db"
    store_with(path, [record()]).close()

    def broken(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM records")
        db.execute("no SQL")

    monkeypatch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
    monkeypatch.setitem(schema.MIGRATIONS, schema.SCHEMA_VERSION - 1, broken)
    with pytest.raises(EdgetuneError):
        Store(path)
    monkeypatch.undo()
    with Store(path) as opened:
        assert len(list(opened.records())) == 1


def test_files_that_are_no_store_are_refused_and_left_alone(tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    store_with(whole, [record(seed=i) for i in range(300)]).close()
    data = whole.read_bytes()
    broken = {
        "text": b"not a database at all, but long enough to be looked at\n" * 50,
        "cut": data[: len(data) // 2],
        "short": data[:50],
        "head": data[:100] + b"\xff" * 4_000 + data[4_100:],
    }
    for name, content in broken.items():
        path = tmp_path / f"{name}.db"
        path.write_bytes(content)
        _refused(path, "damaged|malformed|cannot use")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    _refused(other, "another program")


def test_damage_inside_is_one_line_at_the_look_up(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    store_with(path, [record(seed=i, trace=trace(1, i)) for i in range(300)]).close()
    data = bytearray(path.read_bytes())
    for page in range(3 * 4096, len(data), 4096):
        data[page : page + 64] = b"\xa5" * 64
    path.write_bytes(data)
    with pytest.raises(EdgetuneError, match="damaged") as caught, Store(path) as opened:
        opened.best(HASHES[0], FP)
        list(opened.records())
    assert "\n" not in str(caught.value)


def test_places_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(EdgetuneError, match="cannot make the folder"):
        open_store(tmp_path / "file" / "below")
    (tmp_path / "records.db").mkdir()
    with pytest.raises(EdgetuneError, match="cannot use"):
        open_store(tmp_path)


def test_the_default_folder_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with open_store() as opened:
        assert opened.path == tmp_path / "edgetune" / "records.db"


def test_importing_the_room_does_not_import_tvm() -> None:
    code = (
        "import sys, compiler.records.store, compiler.records.workload, compiler.records.shipped, "
        "compiler.records.prune, compiler.records.exchange.export; sys.exit('tvm' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def _refused(path: Path, message: str) -> None:
    before = path.read_bytes()
    with pytest.raises(EdgetuneError, match=message) as caught:
        Store(path, timeout_s=1)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert not path.with_name(path.name + "-wal").exists()
