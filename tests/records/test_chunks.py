"""Lines that are checked by their bytes and in processes of their own: the same outcome as one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes
from compiler.records.exchange.chunks import Checkers, check_lines, chunks_of, chunks_of_lines
from compiler.records.exchange.export import export_file, store_lines
from compiler.records.exchange.known_traces import KnownTraces
from compiler.records.exchange.lines import read_line, read_row, record_line, row_line
from compiler.records.exchange.reading import blocks
from compiler.records.record import Record
from compiler.records.rows import record_row
from compiler.records.trace_rules import check_trace
from tests.records.samples import failed, record, records, store_with, trace

KNOWN = KnownTraces(states=40, lists=5)  # so small that they are begun anew again and again


def passes(text: bytes) -> bool:
    """What the full check says of a trace's bytes."""
    try:
        value = msgspec.json.decode(text)
        check_trace(value)
    except (EdgetuneError, msgspec.MsgspecError):
        return False
    return canonical_bytes(value) == text


def test_a_known_trace_is_accepted() -> None:
    for _ in range(2):
        for unroll in range(8):
            assert KNOWN.accepts(trace(4, unroll).encode())


@pytest.mark.parametrize(
    "instructions",
    [
        # Lists within inputs and texts that look like the end of an instruction or of all of them.
        [["GetSBlock", [], ["x", "main"], ["b0"]], ["Annotate", ["b0", [0, 1]], ["software_pipeline_stage"], []]],
        [["GetSBlock", [], ["x", "main"], ["b0"]], ["CacheRead", ["b0", ["b0"]], [0, "global"], ["b1"]]],
        [["GetSBlock", [], ["x", "main"], ["b0"]], ["Annotate", ["b0", [[0], [1]]], ["software_pipeline_order"], []]],
        [["GetSBlock", [], [']],["', "main"], ["b0"]]],
        [["GetSBlock", [], ["]]],[", "main"], ["b0"]]],
        [],
        [[]],
    ],
)
def test_lists_and_texts_that_look_like_the_end_of_something(instructions: list[Any]) -> None:
    for decisions in ([], [[0, 1]], [[1, [[2]]]]):
        text = canonical_bytes([instructions, decisions])
        for _ in range(2):
            assert KNOWN.accepts(text) <= passes(text)


_PART = st.one_of(
    st.integers(-5, 2**32),
    st.sampled_from(["b0", "l1", "v3", "v4", "l9", "None", "", "GetLoops", "Parallel", "pragma_import_c", 0.5, None]),
)


@settings(max_examples=300, deadline=None)
@given(where=st.lists(st.integers(0, 9), min_size=1, max_size=5), what=_PART | st.lists(_PART, max_size=3))
def test_what_is_accepted_passes_the_full_check(where: list[int], what: Any) -> None:
    value = msgspec.json.decode(trace())
    place = value
    for step in where[:-1]:
        if not (isinstance(place, list) and place):
            break
        place = place[step % len(place)]
    if isinstance(place, list) and place:
        place[where[-1] % len(place)] = what
    text = canonical_bytes(value)
    assert KNOWN.accepts(text) <= passes(text)
    assert not KNOWN.accepts(text.replace(b",", b", ", 1))


@settings(max_examples=50, deadline=None)
@given(one=records())
def test_a_row_becomes_its_records_line(one: Record) -> None:
    line = record_line(one)
    assert row_line(record_row(one)) == line
    found = read_line(line.strip())
    assert isinstance(found, Record)
    assert (found, found.author, record_row(found)) == (one, one.author, record_row(one))
    assert read_row(line.strip()) == record_row(one)
    assert read_row(msgspec.json.format(line.strip(), indent=0)) == record_row(one)  # any form, by the full check


@settings(max_examples=300, deadline=None)
@given(one=records(), at=st.floats(0, 1, exclude_max=True), new=st.binary(max_size=2), cut=st.integers(0, 2))
def test_a_changed_line_is_a_row_only_where_it_is_a_record(one: Record, at: float, new: bytes, cut: int) -> None:
    line = record_line(one).strip()
    place = int(at * len(line))
    changed = line[:place] + new + line[place + cut :]
    try:
        found = read_line(changed)
    except EdgetuneError:
        with pytest.raises(EdgetuneError):
            read_row(changed)
    else:
        assert isinstance(found, Record)
        assert read_row(changed) == record_row(found)


def test_an_id_or_a_schema_within_another_object_changes_nothing() -> None:
    for extra in (
        {"a": 1, "id": "x"},
        {"a": 1, "schema": 1, "seconds": [1]},
        {"id": "f" * 64, "kind": "record", "z": 1},
    ):
        one = record(extra=extra)
        line = record_line(one).strip()
        assert read_row(line) == record_row(one)
        forged = line.replace(b',"schema":1,"seconds":[0', b',"seconds":[0', 1)
        with pytest.raises(EdgetuneError):
            read_row(forged)


def test_processes_say_the_same_and_may_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.records.exchange.chunks.CHUNK_BYTES", 100_000)
    lines = [record(trace=trace(1, i % 40), seed=i) for i in range(3_000)]
    with store_with(tmp_path / "a.db", [*lines, failed()]) as store:
        export_file(store, tmp_path / "a.jsonl")
        assert b"".join(store_lines(store)) == (tmp_path / "a.jsonl").read_bytes()
    data = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "a.jsonl").write_bytes(b"\n[1]\n" + data.replace(b'"seed":7,', b'"seed":8,')[:-20])
    alone = [(chunk.first, check_lines(chunk.first, chunk.data)) for chunk in chunks_of([tmp_path / "a.jsonl"])]
    assert len(alone) > 4
    with Checkers(2) as checkers:
        found = []
        for number, (chunk, outcome) in enumerate(checkers.check(chunks_of([tmp_path / "a.jsonl"]))):
            found.append((chunk.first, outcome))
            if number == 1:
                checkers._processes[0].kill()
        assert found == alone
    reasons = [item for _, outcome in alone for _, item in outcome if isinstance(item, str)]
    assert len(reasons) == 3


def test_chunks_are_bounded_and_count_lines(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    assert list(chunks_of([tmp_path / "empty.jsonl"])) == []
    chunks = list(chunks_of_lines(tmp_path, (b"x" * (1 << 19) + b"\n" for _ in range(7))))
    assert [(chunk.first, (chunk.data or b"").count(b"\n")) for chunk in chunks] == [(1, 2), (3, 2), (5, 2), (7, 1)]
    assert [number for number, _ in check_lines(5, b"a\n\n \r\nb\r\nc")] == [5, 8, 9]


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(st.integers(0, 30), max_size=12), size=st.integers(1, 40), torn=st.booleans())
def test_blocks_are_the_lines_of_the_file(
    lines: list[int], size: int, torn: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    limit = 20
    text = [bytes([97 + index]) * length for index, length in enumerate(lines)]
    path = tmp_path_factory.getbasetemp() / "blocks.jsonl"
    path.write_bytes(b"\n".join(text) + (b"" if torn or not lines else b"\n"))
    found: list[tuple[int, bytes | None]] = []
    for first, data in blocks(path, size, limit):
        if data is None:
            found.append((first, None))
        else:
            found += [(first + index, line) for index, line in enumerate(data.split(b"\n")) if line]
    wanted = [(n, line if len(line) <= limit else None) for n, line in enumerate(text, 1) if line]
    if size <= limit:  # a line that came whole in one block is not cut off for being long: it is in memory anyway
        assert found == wanted
    assert [n for n, _ in found] == [n for n, _ in wanted]
