"""What holds for remotes of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compiler.errors import EdgetuneError
from compiler.records.remote import compact as compact_module
from compiler.records.remote.cache import caches
from compiler.records.remote.compact import compact
from compiler.records.remote.index import Part
from compiler.records.remote.names import EntryName
from compiler.records.remote.pull import pull
from compiler.records.remote.push import push
from compiler.records.remote.remote import MissingError, Remote
from tests.records.remote.users import FINGERPRINT, OTHER, exported, some, user
from tests.records.samples import HASHES

Place = Callable[[], Remote]


def test_two_users_end_with_the_same_bytes(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with user(tmp_path, "a", some(12)) as a, user(tmp_path, "b", some(9, 6, fingerprint=OTHER)) as b, place() as remote:
        sent = push(a, remote)
        assert (sent.sent, sent.known, sent.parts, sent.fingerprints) == (12, 0, 3, [FINGERPRINT])
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache of b"))
        with place() as seen_by_b:
            assert push(b, seen_by_b).sent == 9
            got = pull(b, seen_by_b)
        assert (got.imported.added, got.listed, got.refused) == (12, 6, [])
        assert got.parts == 3  # b's own are known by their records
        back = pull(a, remote)
        assert (back.imported.added, back.parts) == (9, 3)
        assert exported(a) == exported(b)
        for store in (a, b):
            again = pull(store, remote)
            assert (again.parts, again.bytes_fetched, again.listed, again.imported.added) == (0, 0, 6, 0)
            assert push(store, remote).sent == 0
        origins = {row[0] for row in b.query("SELECT name FROM origins JOIN records ON origin = origins.number")}
        assert origins == {remote.url}


def test_only_what_is_wanted_is_fetched(place: Place, tmp_path: Path) -> None:
    with user(tmp_path, "a", [*some(6), *some(6, fingerprint=OTHER)]) as a, user(tmp_path, "b") as b, place() as remote:
        push(a, remote)
        got = pull(b, remote, wanted=lambda name: name == OTHER, workloads=frozenset(HASHES[:1]))
        assert (got.parts, got.imported.added, got.fingerprints) == (1, 2, [OTHER])
        assert {(r.workload, r.fingerprint) for r in b.records()} == {(HASHES[0], OTHER)}
        assert pull(b, remote, wanted=lambda name: name == OTHER).parts == 2
        assert pull(b, remote).parts == 3
        assert exported(a) == exported(b)


def test_a_push_adds_what_is_new_and_an_empty_remote_is_none(place: Place, tmp_path: Path) -> None:
    with user(tmp_path, "a", some(6)) as a, user(tmp_path, "b") as b, place() as remote:
        if not remote.is_new():
            assert pull(b, remote).listed == 0
        push(a, remote)
        a.add_many(some(2, 100, workload=HASHES[1]))
        more = push(a, remote)
        assert (more.sent, more.known, more.parts) == (2, 6, 1)
        assert pull(b, remote).imported.added == 8
        assert exported(a) == exported(b)


def test_the_index_is_made_smaller_and_loses_nothing(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact_module, "COMPACT_ABOVE", 4)
    with user(tmp_path, "a", some(1)) as a, user(tmp_path, "b") as b, place() as remote:
        for number in range(1, 5):
            push(a, remote)
            a.add_many(some(1, number))
        push(a, remote)
        assert len(remote.entries()) == 5
        if remote.can_remove:
            assert compact(remote, caches(remote.url)[0], FINGERPRINT) == 5
            assert len(remote.entries()) == 1
            assert compact(remote, caches(remote.url)[0], FINGERPRINT) == 0
        assert pull(b, remote).imported.added == 5
        assert push(a, remote).sent == 0


def test_what_is_not_there_is_said(place: Place, tmp_path: Path) -> None:
    with user(tmp_path, "a", some(1)) as a, place() as remote:
        push(a, remote)
        nothing = "0" * 64
        with pytest.raises(MissingError):
            list(remote.entry_chunks(EntryName(FINGERPRINT, nothing)))
        part = Part(sha256=nothing, size=1, packing="none", unpacked=1, workload=HASHES[0], ids="", tvm=())
        with pytest.raises(EdgetuneError):
            list(remote.part_chunks(part))
