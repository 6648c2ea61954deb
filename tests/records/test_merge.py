"""Merging logs of all kinds: a union in the mathematical sense, to the byte, and in git without conflicts."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.records.exchange.export import export_file, export_folder
from compiler.records.exchange.import_ import import_logs
from compiler.records.exchange.merge import merge_logs
from compiler.records.record import Record, Workload
from compiler.records.store import Store
from tests.records.samples import HASHES, WORKLOADS, record, records, store_with, trace

FP = "x86-avx2-2-abc123"


@settings(max_examples=10, deadline=None)
@given(
    parts=st.lists(st.lists(records(), max_size=5), min_size=3, max_size=3),
    shared=st.lists(records(), max_size=2),
    seed=st.integers(0, 99),
)
def test_the_order_and_the_number_of_times_do_not_matter(
    parts: list[list[Record]], shared: list[Record], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    sources: list[Path] = []
    for number, part in enumerate(parts):
        place = folder / f"source{number}"
        place.mkdir()
        with Store(place / "records.db") as store:  # one source is a store, one a folder, one a file
            for workload in WORKLOADS:
                store.add_workload(Workload(workload.hash, f"name{number}", json.dumps({"nodes": [number]})))
            store.add_many([*part, *shared])
            kinds = (place, place / "logs", place / "all.jsonl")
            if number == 1:
                (place / "logs").mkdir()
                export_folder(store, kinds[1], author="Cleo")
            if number == 2:
                export_file(store, kinds[2])
            sources.append(kinds[number])

    def merged(*several: Path) -> bytes:
        out = folder / "out.jsonl"
        merge_logs(several, out)
        return out.read_bytes()

    if not any([*parts, shared]):
        return
    if not (parts[1] or shared):  # a folder without a file is no log
        sources.pop(1)
    everything = merged(*sources)
    shuffled = sources * 2
    random.Random(seed).shuffle(shuffled)
    assert merged(*shuffled) == everything
    two = folder / "two"
    merge_logs(sources[:2], two.with_suffix(".jsonl"))
    assert merged(two.with_suffix(".jsonl"), *sources[2:]) == everything
    (folder / "all.jsonl").write_bytes(everything)
    assert merged(folder / "all.jsonl") == everything == merged(folder / "all.jsonl", *sources)


def test_every_measurement_stays_and_the_newest_of_a_schedule_counts(tmp_path: Path) -> None:
    lucky = record(seconds=(0.001, 0.009, 0.0095), created="2025-01-01T00:00:00.000000Z")
    again = record(seconds=(0.004, 0.0041, 0.0042), created="2025-02-01T00:00:00.000000Z")
    other = record(trace=trace(2), seconds=(0.005, 0.005, 0.0001), created="2025-01-01T00:00:00.000000Z")
    for name, one in (("a", lucky), ("b", again), ("c", other)):
        with store_with(tmp_path / f"{name}.db", [one]) as store:
            export_file(store, tmp_path / f"{name}.jsonl")
    for order in ("abc", "cba", "bac"):
        with Store(tmp_path / f"{order}.db") as store:
            for name in order:
                import_logs(store, tmp_path / f"{name}.jsonl")
            assert set(store.records()) == {lucky, again, other}
            best = [found.median for found in store.top(HASHES[0], FP, 5)]
            assert best == [0.0041, 0.005], "one lucky repeat does not win, and the older time does not compete"


def test_an_author_is_named_by_who_measured_and_by_nobody_else(tmp_path: Path) -> None:
    with store_with(tmp_path / "ada.db", [record()]) as ada:
        export_file(ada, tmp_path / "silent.jsonl")
        export_file(ada, tmp_path / "ada.jsonl", author="Ada")
        assert next(ada.records()).author == "", "an export changes nothing here"
    assert b"author" not in (tmp_path / "silent.jsonl").read_bytes()
    outcomes = []
    for order in (("silent", "ada"), ("ada", "silent")):
        with Store(tmp_path / f"{order[0]}-first.db") as store:
            for name in order:
                import_logs(store, tmp_path / f"{name}.jsonl")
            assert [(r.author, r.id) for r in store.records()] == [("Ada", record().id)]
            export_file(store, tmp_path / "out.jsonl", author="Mallory")
            outcomes.append((tmp_path / "out.jsonl").read_bytes())
    assert outcomes[0] == outcomes[1] == (tmp_path / "ada.jsonl").read_bytes()
    with store_with(tmp_path / "own.db", [record()]) as own:
        import_logs(own, tmp_path / "ada.jsonl")
        assert next(own.records()).author == "", "what was measured here is nobody else's"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_two_peoples_additions_merge_in_git(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    first = [record(workload=HASHES[0], fingerprint="one"), record(workload=HASHES[1], fingerprint="one")]
    ada = [record(workload=HASHES[0], fingerprint="one", trace=trace(2)), record(workload=HASHES[2], fingerprint="two")]
    bob = [record(workload=HASHES[1], fingerprint="one", trace=trace(2)), record(workload=HASHES[2], fingerprint="one")]

    def export(known: list[Record], name: str) -> None:
        with store_with(tmp_path / f"{name}.db", []) as store:
            if (repository / "tuning_logs").exists():
                import_logs(store, repository / "tuning_logs")
            store.add_many(known)
            export_folder(store, repository / "tuning_logs")
        git(repository, "add", "-A")

    export(first, "first")
    git(repository, "commit", "-q", "-m", "first")
    for name, known in (("ada", ada), ("bob", bob)):
        git(repository, "checkout", "-q", "-b", name, "main")
        export(known, name)
        git(repository, "commit", "-q", "-m", name)
    git(repository, "merge", "-q", "-m", "both", "ada")
    assert git(repository, "status", "--porcelain") == ""
    export([], "again")
    assert git(repository, "status", "--porcelain") == "", "a re-export of what was merged changes nothing"
    with Store(tmp_path / "again.db") as store:
        assert set(store.records()) == {*first, *ada, *bob}


def test_a_folder_of_the_first_layout_is_read(tmp_path: Path) -> None:
    """Until schema 2, each file of records began with its kernel."""
    with store_with(tmp_path / "a.db", [record(), record(workload=HASHES[1])]) as store:
        for name in HASHES[:2]:
            (tmp_path / "old" / FP).mkdir(parents=True, exist_ok=True)
            export_file(store, tmp_path / "all.jsonl")
            lines = (tmp_path / "all.jsonl").read_bytes().splitlines(keepends=True)
            (tmp_path / "old" / FP / f"{name}.jsonl").write_bytes(b"".join(x for x in lines if name.encode() in x))
        export_folder(store, tmp_path / "new")
    merge_logs([tmp_path / "old"], tmp_path / "merged")
    files = sorted(path.relative_to(tmp_path / "new") for path in (tmp_path / "new").rglob("*.jsonl"))
    assert len(files) == 4
    for path in files:
        assert (tmp_path / "merged" / path).read_bytes() == (tmp_path / "new" / path).read_bytes()


def test_one_file_of_a_folder_brings_its_kernel(tmp_path: Path) -> None:
    with store_with(tmp_path / "a.db", [record(), record(trace=trace(2))]) as store:
        export_folder(store, tmp_path / "logs")
    with Store(tmp_path / "b.db") as store:
        report = import_logs(store, tmp_path / "logs" / FP / f"{HASHES[0]}.jsonl")
        assert (report.added, report.workloads_added, report.skipped) == (2, 1, [])
