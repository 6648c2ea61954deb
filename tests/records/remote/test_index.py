"""Index entries and parts from strangers: refused in one line, or sound, and never a name that leads outside."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes
from compiler.records.exchange.lines import record_line
from compiler.records.remote import index as index_module
from compiler.records.remote.folder import FolderRemote
from compiler.records.remote.index import ID_BYTES, Entry, Part, entries_of, pack_ids, read_entry
from compiler.records.remote.names import EntryName, entry_name, part_path
from compiler.records.remote.packing import Line, pack, unpack
from compiler.records.remote.pull import pull
from compiler.records.remote.push import push
from tests.records.remote.users import FINGERPRINT, exported, some, user
from tests.records.samples import HASHES, WORKLOADS, record

GOOD: dict[str, Any] = {
    "sha256": "a" * 64,
    "size": 100,
    "packing": "gzip",
    "unpacked": 1000,
    "workload": HASHES[0],
    "ids": pack_ids([b"12345678", b"abcdefgh"]),
    "tvm": ["0.27.0"],
}


def entry(**changes: Any) -> dict[str, Any]:
    return {"kind": "edgetune-index", "schema": 1, "fingerprint": FINGERPRINT, "parts": [GOOD], **changes}


def read(value: Any) -> Entry:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_entry(data, hashlib.sha256(data).hexdigest(), FINGERPRINT)


def test_a_good_entry() -> None:
    found = read(entry())
    assert found.parts[0].records == {b"12345678", b"abcdefgh"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sha256", "../../etc/passwd"),
        ("sha256", "A" * 64),
        ("sha256", "a" * 63 + "/"),
        ("size", 0),
        ("size", 1 << 40),
        ("size", -1),
        ("size", 1.5),
        ("unpacked", 1 << 50),
        ("packing", "zip"),
        ("packing", "none"),
        ("workload", "../x"),
        ("ids", "?"),
        ("ids", ""),
        ("ids", pack_ids([b"1234567"])),
        ("tvm", ["x" * 101]),
        ("tvm", ["1"] * 65),
        ("more", 1),
    ],
)
def test_a_part_that_is_not_as_it_should_be(field: str, value: Any) -> None:
    with pytest.raises(EdgetuneError) as caught:
        read(entry(parts=[{**GOOD, field: value}]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"kind": "edgetune-index", "kind": "edgetune-index"}',
        entry(kind="other"),
        entry(schema=2),
        entry(schema="1"),
        entry(fingerprint="../x"),
        entry(fingerprint="another"),
        entry(parts=[GOOD] * 4001),
        entry(parts={}),
        entry(more=1),
    ],
)
def test_an_entry_that_is_not_as_it_should_be(value: Any) -> None:
    with pytest.raises(EdgetuneError) as caught:
        read(value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("a" * 64),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=120, deadline=None)
@given(
    outer=st.dictionaries(st.sampled_from(["kind", "schema", "fingerprint", "parts", "x"]), _VALUES, max_size=3),
    inner=st.dictionaries(st.sampled_from([*GOOD, "x"]), _VALUES, max_size=3),
    cut=st.none() | st.integers(0, 200),
)
def test_a_hostile_entry_is_refused_in_one_line_or_is_sound(
    outer: dict[str, Any], inner: dict[str, Any], cut: int | None
) -> None:
    data = json.dumps({**entry(parts=[{**GOOD, **inner}]), **outer}).encode()[:cut]
    try:
        found = read_entry(data, hashlib.sha256(data).hexdigest())
    except EdgetuneError as error:
        assert "\n" not in str(error)
        return
    assert entry_name(EntryName(found.fingerprint, "0" * 64).path) is not None
    for part in found.parts:
        path = Path("/root") / part_path(part.sha256)
        assert path.resolve().is_relative_to("/root")
        assert 0 < part.size <= 1 << 28
        assert part.records


@settings(max_examples=120, deadline=None)
@given(st.text(max_size=80) | st.from_regex(r"index/[^\n]*/[0-9a-f]{64}\.json", fullmatch=True))
def test_names_lead_nowhere_else(path: str) -> None:
    name = entry_name(path)
    if name is not None:
        assert name.path == path
        assert Path("/root", path).resolve() == Path("/root", path)
        assert Path(path).parts[0] == "index"


def test_the_same_parts_make_the_same_entries_in_any_order() -> None:
    parts = [Part(**{**GOOD, "sha256": f"{i:064x}", "tvm": ("1",)}) for i in range(10)]
    assert list(entries_of(FINGERPRINT, parts)) == list(entries_of(FINGERPRINT, [*reversed(parts), parts[0]]))


def test_many_parts_make_several_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "MAX_PARTS", 4)
    monkeypatch.setattr(index_module, "_MAX_ENTRY_RECORDS", 6)
    parts = [Part(**{**GOOD, "sha256": f"{i:064x}", "tvm": ("1",)}) for i in range(10)]
    made = [read(data) for data in entries_of(FINGERPRINT, parts)]
    assert [len(found.parts) for found in made] == [3, 3, 3, 1]
    assert sorted(part.sha256 for found in made for part in found.parts) == [part.sha256 for part in parts]


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    "data",
    [
        _gzip(b"\0" * (64 << 20)),  # 64 MB of nothing in 64 KB
        _gzip(b"x" * 999),
        _gzip(b"x" * 1001),
        _gzip(b"x" * 1000) + b"more",
        _gzip(b"x" * 1000) + _gzip(b"x"),
        _gzip(b"x" * 1000)[:-1],
        b"not packed at all",
    ],
)
def test_a_part_unpacks_to_what_the_index_says_or_not_at_all(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(data)
    part = Part(**{**GOOD, "tvm": ()})
    with pytest.raises(EdgetuneError):
        unpack(part, tmp_path / "packed", tmp_path / "lines")
    assert (tmp_path / "lines").stat().st_size <= 1001
    (tmp_path / "packed").write_bytes(_gzip(b"x" * 1000))
    unpack(part, tmp_path / "packed", tmp_path / "lines")
    assert (tmp_path / "lines").read_bytes() == b"x" * 1000


def test_parts_are_cut_where_they_grow_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import compiler.records.remote.packing as packing

    monkeypatch.setattr(packing, "MAX_PART_RECORDS", 3)
    records = [Line(one.id, one.tvm_version, record_line(one)) for one in (record(seed=i) for i in range(7))]
    packed = zlib.compress(WORKLOADS[0].ir.encode())
    made = list(pack(tmp_path, HASHES[0], "conv", packed, records))
    assert [len(local.part.records) for local in made] == [3, 3, 1]
    for local in made:
        unpack(local.part, local.path, tmp_path / "lines")
        assert (tmp_path / "lines").read_bytes().startswith(b'{"hash":')
        assert len(next(iter(local.part.records))) == ID_BYTES


def test_a_hostile_entry_takes_nothing_from_the_good_ones(tmp_path: Path) -> None:
    remote = FolderRemote(tmp_path / "remote")
    with user(tmp_path, "a", some(6)) as a, user(tmp_path, "b") as b:
        push(a, remote)
        folder = tmp_path / "remote" / "index" / FINGERPRINT
        (folder / f"{'0' * 64}.json").write_text("{}")
        (folder / "notes.txt").write_text("a stranger's")
        bomb = _gzip(b"\0" * (64 << 20))
        remote.put(part_path(hashlib.sha256(bomb).hexdigest()), bomb)
        lies = canonical_bytes(
            entry(
                parts=[
                    {**GOOD, "sha256": hashlib.sha256(bomb).hexdigest(), "size": len(bomb)},
                    {**GOOD, "sha256": "b" * 64},
                ]
            )
        )
        remote.put(EntryName(FINGERPRINT, hashlib.sha256(lies).hexdigest()).path, lies)
        report = pull(b, remote)
        assert report.imported.added == 6
        assert len(report.refused) == 3
        assert all("\n" not in line for line in report.refused)
        assert exported(a) == exported(b)
        a.add_many(some(1, 50))
        assert push(a, remote).notes != []
        assert pull(b, remote).imported.added == 1


def test_lines_that_are_not_sound_are_skipped_and_named(tmp_path: Path) -> None:
    remote = FolderRemote(tmp_path / "remote")
    data = b'{"kind":"record"}\nhello\n'
    digest = hashlib.sha256(data).hexdigest()
    remote.put(part_path(digest), data)
    part = {**GOOD, "sha256": digest, "size": len(data), "unpacked": len(data), "packing": "none"}
    lies = canonical_bytes(entry(parts=[part]))
    remote.put(EntryName(FINGERPRINT, hashlib.sha256(lies).hexdigest()).path, lies)
    with user(tmp_path, "b") as b:
        report = pull(b, remote)
        assert (report.imported.skipped_count, report.imported.added) == (2, 0)
        assert report.imported.skipped[0].file == f"{digest}.jsonl"
        assert pull(b, remote).parts == 0
