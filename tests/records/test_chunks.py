"""Lines that are checked by their bytes and in processes of their own: the same outcome as one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes
from compiler.records.exchange.chunks import Checkers, check_lines, chunks_of, chunks_of_lines
from compiler.records.exchange.export import export_file, store_lines
from compiler.records.exchange.known_traces import KnownTraces
from compiler.records.exchange.lines import read_line, record_line, row_line
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


def test_processes_say_the_same_and_may_die(tmp_path: Path) -> None:
    lines = [record(trace=trace(1, i % 40), seed=i) for i in range(3_000)]
    with store_with(tmp_path / "a.db", [*lines, failed()]) as store:
        export_file(store, tmp_path / "a.jsonl")
        assert b"".join(store_lines(store)) == (tmp_path / "a.jsonl").read_bytes()
    data = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "a.jsonl").write_bytes(b"\n[1]\n" + data.replace(b'"seed":7,', b'"seed":8,')[:-20])
    alone = [(chunk.lines, check_lines(chunk.lines)) for chunk in chunks_of([tmp_path / "a.jsonl"])]
    assert len(alone) > 4
    with Checkers(2) as checkers:
        found = []
        for number, (chunk, outcome) in enumerate(checkers.check(chunks_of([tmp_path / "a.jsonl"]))):
            found.append((chunk.lines, outcome))
            if number == 1:
                checkers._processes[0].kill()
        assert found == alone
    reasons = [item for _, outcome in alone for _, item in outcome if isinstance(item, str)]
    assert len(reasons) == 3


def test_chunks_are_bounded_and_leave_out_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"\n\n")
    assert [chunk.lines for chunk in chunks_of([tmp_path / "empty.jsonl"])] == [[]]
    chunks = list(chunks_of_lines(tmp_path, (b"x" * (1 << 20) + b"\n" for _ in range(7))))
    assert [len(chunk.lines) for chunk in chunks] == [2, 2, 2, 1]
