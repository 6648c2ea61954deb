"""Export and import: byte-identical, a merge in the mathematical sense, atomic, and honest about what was skipped."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import EdgetuneError
from compiler.records.exchange.export import export_file, export_folder, replacing
from compiler.records.exchange.import_ import import_logs
from compiler.records.prune import prune
from compiler.records.record import Record, Workload
from compiler.records.shipped import import_shipped, shipped_folder
from compiler.records.store import Store
from tests.records.samples import DATA, HASHES, WORKLOADS, contents, failed, record, records, store_with, trace

FP = "x86-avx2-2-abc123"
MANY = [record(seed=i, trace=trace(1, i % 7), workload=HASHES[i % 3], fingerprint=f"fp{i % 2}") for i in range(40)]


def test_what_is_exported_is_imported_and_exported_again_to_the_byte(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    with store_with(tmp_path / "a.db", [*MANY, failed()]) as a, Store(tmp_path / "b.db") as b:
        report = export_file(a, first)
        assert (report.records, report.workloads) == (41, 3)
        imported = import_logs(b, first)
        assert (imported.added, imported.known, imported.workloads_added, imported.skipped) == (41, 0, 3, [])
        export_file(b, second)
        assert first.read_bytes() == second.read_bytes()
        again = import_logs(b, first)
        assert (again.added, again.known, again.workloads_added) == (0, 41, 0)
        assert set(b.records()) == set(a.records())
    assert contents(tmp_path / "a.db") == contents(tmp_path / "b.db")
    assert all(json.loads(line)["schema"] == 1 for line in first.read_text().splitlines())


def test_the_folder_layout_has_one_file_per_kernel(tmp_path: Path) -> None:
    with store_with(tmp_path / "a.db", MANY) as a, Store(tmp_path / "b.db") as b:
        report = export_folder(a, tmp_path / "logs")
        assert sorted(p.relative_to(tmp_path / "logs").as_posix() for p in report.files) == sorted(
            f"{folder}/{h}.jsonl" for folder in ("fp0", "fp1", "workloads") for h in HASHES
        )
        before = {path: path.read_bytes() for path in report.files}
        export_folder(a, tmp_path / "logs")
        assert {path: path.read_bytes() for path in report.files} == before
        assert import_logs(b, tmp_path / "logs").added == 40
        assert set(a.records()) == set(b.records())


def test_only_the_best_and_only_one_fingerprint_can_be_exported(tmp_path: Path) -> None:
    mine = [record(trace=trace(1, i), seconds=(0.001 * (i + 1),)) for i in range(9)]
    with store_with(tmp_path / "a.db", [*mine, record(fingerprint="other", workload=HASHES[1])]) as a:
        assert export_file(a, tmp_path / "x.jsonl", fingerprint=FP, top=2).records == 2
        lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
        assert [line["kind"] for line in lines] == ["workload", "record", "record"]
        assert {line["id"] for line in lines[1:]} == {mine[0].id, mine[1].id}


def test_an_export_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]
    with store_with(tmp_path / "a.db", MANY) as a, pytest.raises(EdgetuneError, match="cannot write"):
        export_file(a, path / "below.jsonl")


@settings(max_examples=12, deadline=None)
@given(a=st.lists(records(), max_size=5), b=st.lists(records(), max_size=5), c=st.lists(records(), max_size=5))
def test_merging_is_idempotent_commutative_and_associative(
    a: list[Record], b: list[Record], c: list[Record], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    files = []
    for number, part in enumerate((a, b, c)):
        files.append(folder / f"{number}.jsonl")
        # the same kernels with texts that differ: which one stays must not depend on the order either
        with Store(folder / f"source{number}.db") as store:
            for workload in WORKLOADS:
                store.add_workload(Workload(workload.hash, f"name{number}", json.dumps({"nodes": [number]})))
            store.add_many(part)
            export_file(store, files[-1])

    def merged(name: str, *parts: Path) -> bytes:
        with Store(folder / f"{name}.db") as store:
            for part in parts:
                import_logs(store, part)
            out = folder / f"{name}.jsonl"
            export_file(store, out)
            assert store.check() == []
            return out.read_bytes()

    one, two, three = files
    everything = merged("abc", one, two, three)
    assert merged("cba", three, two, one) == everything
    assert merged("aabbcc", one, one, two, two, three, three, one) == everything
    merged("ab", one, two)
    merged("bc", two, three)
    assert merged("(ab)c", folder / "ab.jsonl", three) == everything
    assert merged("a(bc)", one, folder / "bc.jsonl") == everything


def test_records_may_come_before_their_workload_but_not_without_it(tmp_path: Path) -> None:
    with store_with(tmp_path / "a.db", [record(), record(workload=HASHES[1])]) as a:
        export_file(a, tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    (tmp_path / "b.jsonl").write_bytes(b"".join([lines[1], lines[0], lines[3], b"\n"]))
    with Store(tmp_path / "b.db") as b:
        report = import_logs(b, tmp_path / "b.jsonl")
        assert (report.added, report.skipped_count) == (1, 1)
        assert report.skipped[0].line == 3
        assert "neither in the file nor in the store" in report.skipped[0].reason


def test_a_torn_last_line_is_reported_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with store_with(tmp_path / "a.db", MANY) as a:
        export_file(a, path)
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    with Store(tmp_path / "b.db") as b:
        report = import_logs(b, path)
        assert report.added == 39
        assert [s.line for s in report.skipped] == [43]
        assert report.skipped[0].reason.startswith("torn last line")
    path.write_bytes(data.rstrip(b"\n"))
    with Store(tmp_path / "c.db") as c:
        assert import_logs(c, path).added == 40


def test_sources_that_hold_nothing_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "database_workload.json").write_text("")
    with Store(tmp_path / "a.db") as store:
        for source, message in [
            (tmp_path / "absent.jsonl", "cannot read"),
            (tmp_path / "empty", "holds no .jsonl file"),
            (tmp_path / "half" / "database_workload.json", "belong together"),
        ]:
            with pytest.raises(EdgetuneError, match=message):
                import_logs(store, source)


def test_stock_metaschedule_files(tmp_path: Path) -> None:
    source = DATA / "metaschedule"
    with Store(tmp_path / "a.db") as store:
        report = import_logs(store, source, fingerprint=FP, device="Some CPU")
        assert (report.added, report.workloads_added, report.skipped, report.notes) == (8, 2, [], [])
        again = import_logs(store, source / "database_tuning_record.json", fingerprint=FP, device="Some CPU")
        assert (again.added, again.known, again.workloads_added) == (0, 8, 0)
        for line in store.summary(FP):
            assert (line.trials, line.failed, line.best_seconds) == (4, 1, 0.001)
            best = store.best(line.workload, FP)
            assert best is not None
            assert (best.threads, best.tvm_version, best.target["mcpu"]) == (2, "0.27.0.post1", "skylake-avx512")
        export_file(store, tmp_path / "a.jsonl")
        with Store(tmp_path / "b.db") as other:
            assert import_logs(other, tmp_path / "a.jsonl").added == 8


def test_stock_files_without_a_fingerprint_are_kept_as_unknown_and_say_so(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        report = import_logs(store, DATA / "metaschedule")
        assert store.fingerprints() == {"unknown": 8}
        assert "--fingerprint" in report.notes[0]
        wrong = import_logs(store, DATA / "metaschedule", fingerprint="gpu", target={"kind": "cuda"})
        assert (wrong.added, wrong.skipped_count) == (0, 8)
        assert "'llvm', not 'cuda'" in wrong.skipped[0].reason


def test_a_torn_stock_file_is_reported_and_the_rest_kept(tmp_path: Path) -> None:
    for name in ("database_workload.json", "database_tuning_record.json"):
        data = (DATA / "metaschedule" / name).read_bytes()
        (tmp_path / name).write_bytes(data[:-100])
    with Store(tmp_path / "a.db") as store:
        report = import_logs(store, tmp_path, fingerprint=FP)
        assert report.added == 4  # the first workload's; the second workload's line is torn, and so is the last record
        reasons = [s.reason for s in report.skipped]
        assert len(reasons) == 5
        assert reasons[0].startswith("torn last line")
        assert "was skipped" in reasons[1]
        assert reasons[-1].startswith("torn last line")


def test_shipped_logs_are_taken_in_once(tmp_path: Path) -> None:
    folder = tmp_path / "tuning_logs"
    with store_with(tmp_path / "a.db", MANY) as a:
        export_folder(a, folder)
    with Store(tmp_path / "b.db") as b:
        first = import_shipped(b, "fp0", folder)
        assert (first.files, first.added) == (3, 20)
        assert b.fingerprints() == {"fp0": 20}
        prune(b)
        assert import_shipped(b, "fp0", folder).files == 0
        assert import_shipped(b, "nothing-here", folder).files == 0
        assert import_shipped(b, "../b", folder).files == 0
        (folder / "fp0" / f"{HASHES[0]}.jsonl").write_bytes(
            b"".join(p.read_bytes() for p in sorted((folder / "fp1").iterdir()))
        )
        strange = import_shipped(b, "fp0", folder)
        assert (strange.files, strange.added, strange.passed_over) == (1, 0, 20)


def test_the_shipped_folder_is_beside_the_package() -> None:
    folder = shipped_folder()
    beside = Path(__file__).parents[2] / "tuning_logs"
    assert folder == (beside if beside.is_dir() else None)


def test_prune_keeps_the_best_of_each_and_gives_the_space_back(tmp_path: Path) -> None:
    many = [
        record(trace=trace(1, i), seconds=(0.001 * (i + 1),), fingerprint=f, workload=w)
        for i in range(300)
        for f in ("one", "two")
        for w in HASHES[:2]
    ]
    with store_with(tmp_path / "a.db", [*many, failed(fingerprint="one")]) as store:
        with pytest.raises(EdgetuneError):
            prune(store, keep=0)
        report = prune(store, keep=2, fingerprint="one")
        assert (report.kept, report.removed) == (4, 597)
        assert store.fingerprints() == {"one": 4, "two": 600}
        assert [r.median for r in store.top(HASHES[0], "one", 9)] == [0.001, 0.002]
        report = prune(store)
        assert (report.kept, report.removed, report.shrunk) == (4, 600, True)
        assert report.bytes_after < report.bytes_before / 2
        assert store.check() == []
        assert prune(store).removed == 0


def test_packed_texts_are_exported_as_they_came(tmp_path: Path) -> None:
    """Another zlib (zlib-ng, say) packs the same text to other bytes; a re-export must still change nothing."""
    text = json.dumps({"nodes": list(range(500))})
    with store_with(tmp_path / "a.db", []) as a:
        a.add_workload(Workload("b" * 16, "x", text), imported=True, packed=zlib.compress(text.encode(), 1))
        a.add(record(workload="b" * 16))
        export_file(a, tmp_path / "a.jsonl")
    with Store(tmp_path / "b.db") as b:
        import_logs(b, tmp_path / "a.jsonl")
        b.add_workload(Workload("b" * 16, "x", text))
        export_file(b, tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
