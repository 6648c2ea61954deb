"""Files from elsewhere are data: what they hold in excess is refused with a reason, and nothing is half-kept."""

from __future__ import annotations

import base64
import json
import random
import time
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import EdgetuneError
from compiler.records.canonical import _is_plain, canonical_bytes, parse_strict
from compiler.records.exchange import lines
from compiler.records.exchange.export import export_file
from compiler.records.exchange.import_ import import_logs
from compiler.records.exchange.lines import read_line, record_line
from compiler.records.exchange.reading import numbered_lines
from compiler.records.record import MAX_IR_BYTES
from compiler.records.store import Store
from compiler.records.trace_rules import check_trace, normalise_trace
from tests.records.samples import DATA, contents, failed, record, store_with, trace

LINE = record_line(record()).strip()


def with_trace(change: Any) -> bytes:
    """A well-formed record line, its id right, whose trace was changed by `change(instructions, decisions)`."""
    value = json.loads(trace())
    change(*value)
    return record_line(record(trace=canonical_bytes(value).decode())).strip()


def annotate(key: str, value: Any) -> bytes:
    return with_trace(lambda i, d: i.insert(3, ["Annotate", ["b0", value], [key], []]))


INDEX_MAP = json.dumps(
    {
        "root_index": 5,
        "nodes": [
            {"type": "None"},
            {"type": "ir.PrimType", "data": {"span": 0, "dtype": "int32"}},
            {"type": "ffi.String", "data": "i0"},
            {"type": "ir.Var", "data": {"span": 0, "ty": 1, "name": 2}},
            {"type": "ffi.Array", "data": [3]},
            {"type": "tirx.IndexMap", "data": {"initial_indices": 4, "final_indices": 4, "inverse_index_map": 0}},
        ],
    }
)


def transform(text: str) -> bytes:
    return with_trace(lambda i, d: i.insert(3, ["TransformLayout", ["b0", text], [1, 0, None, 0], []]))


def test_a_real_index_map_passes() -> None:
    read_line(transform(json.dumps(json.loads(INDEX_MAP), separators=(",", ":"), sort_keys=True)))


HOSTILE = {
    "pragma_import_c": annotate("pragma_import_c", '"int x;"'),
    "pragma_import_llvm": annotate("pragma_import_llvm", '"define"'),
    "pragma_debug": annotate("pragma_debug_skip_region", 1),
    "source in an allowed annotation": annotate("meta_schedule.auto_tensorize", '"#include <stdlib.h>"'),
    "a huge unroll": annotate("pragma_auto_unroll_max_step", 2**30),
    "a dictionary": annotate("meta_schedule.parallel", {"a": 1}),
    "a raw string": annotate("meta_schedule.tiling_structure", "SSRSRS"),
    "unknown instruction": with_trace(lambda i, d: i.append(["CallPython", ["b0"], ["os.system"], []])),
    "unsafe instruction": with_trace(lambda i, d: i.append(["UnsafeSetDType", ["b0"], [0, "int8"], []])),
    "undefined variable": with_trace(lambda i, d: i.append(["Parallel", ["l99"], [], []])),
    "none for a loop": with_trace(lambda i, d: i.append(["Parallel", ["None"], [], []])),
    "output that is no variable": with_trace(lambda i, d: i.append(["GetLoops", ["b0"], [], ["os"]])),
    "short instruction": with_trace(lambda i, d: i.append(["Parallel"])),
    "decision out of bounds": with_trace(lambda i, d: d.append([10**6, [1]])),
    "negative decision": with_trace(lambda i, d: d.append([-1, [1]])),
    "text decision": with_trace(lambda i, d: d.append([0, ["x"]])),
    "decision for no instruction": with_trace(lambda i, d: d.append([True, [1]])),
    "huge number": with_trace(lambda i, d: i[2][2].append(2**40)),
    "many instructions": with_trace(lambda i, d: i.extend([["EnterPostproc", [], [], []]] * 10_001)),
    "map with a call": transform(INDEX_MAP.replace("ir.Var", "tirx.Call")),
    "map with a cycle": transform(INDEX_MAP.replace('"data": [3]', '"data": [4]')),
    "map that points ahead": transform(INDEX_MAP.replace('"ty": 1', '"ty": 900')),
    "map without root": transform(INDEX_MAP.replace('"root_index": 5', '"root_index": 50')),
    "map of something else": transform(INDEX_MAP.replace('"root_index": 5', '"root_index": 3')),
    "map that is no JSON": transform("{nodes}"),
    "map with a wrong kind of node": transform(INDEX_MAP.replace('"initial_indices": 4', '"initial_indices": 3')),
    "map without a field": transform(INDEX_MAP.replace('"initial_indices": 4, ', "")),
    "map with another field": transform(INDEX_MAP.replace('"span": 0, "dtype"', '"span": 0, "call": 2, "dtype"')),
    "map of pointers": transform(INDEX_MAP.replace('"dtype": "int32"', '"dtype": "handle"')),
    "map for padding": with_trace(
        lambda i, d: i.append(["TransformLayout", ["b0", INDEX_MAP], [1, 0, INDEX_MAP, 0], []])
    ),
    "sample without a decision": with_trace(lambda i, d: d.clear()),
    "sample decided twice": with_trace(lambda i, d: d.append(d[0])),
    "thousands of tiles": with_trace(lambda i, d: i[2][2].__setitem__(0, 5000)),
    "a variable defined twice": with_trace(lambda i, d: i.append(["GetLoops", ["b0"], [], ["l1"]])),
    "a huge unroll in disguise": with_trace(
        lambda i, d: (
            i.append(["SampleCategorical", [], [[10**9], [1.0]], ["v90"]]),
            d.append([len(i) - 1, 0]),
            i.append(["Annotate", ["b0", "v90"], ["pragma_auto_unroll_max_step"], []]),
        )
    ),
    "a huge alignment": with_trace(lambda i, d: i.append(["StorageAlign", ["b0"], [0, 0, 2**30, 0], []])),
    "too many variables": with_trace(
        lambda i, d: i.extend(["GetLoops", ["b0"], [], [f"l{n * 200 + k}" for k in range(200)]] for n in range(1, 200))
    ),
    "an unknown scope": with_trace(lambda i, d: i.append(["SetScope", ["b0"], [0, "global.vtcm"], []])),
    "an unknown thread": with_trace(lambda i, d: i.append(["Bind", ["l1"], ["system"], []])),
    "too many attributes": with_trace(lambda i, d: i.append(["Parallel", ["l1"], [1], []])),
    "an instruction that no search writes": with_trace(lambda i, d: i.append(["RollingBuffer", ["b0"], [0], []])),
    "map where none belongs": with_trace(lambda i, d: i.append(["Annotate", ["b0", INDEX_MAP], ["local_stage"], []])),
    "changed content": LINE.replace(b"0.0011", b"0.0001"),
    "changed id": LINE.replace(record().id.encode(), b"0" * 64),
    "not an object": b"[1]",
    "no schema": b"{}",
    "newer schema": LINE.replace(b'"schema":1', b'"schema":3'),
    "schema of another type": LINE.replace(b'"schema":1', b'"schema":true'),
    "unknown kind": LINE.replace(b'"kind":"record"', b'"kind":"program"'),
    "extra field": LINE[:-1] + b',"run_this":"x"}',
    "missing field": LINE.replace(b'"device":"Some CPU",', b""),
    "wrong type": LINE.replace(b'"threads":2', b'"threads":"2"'),
    "duplicate key": LINE[:-1] + b',"threads":2}',
    "duplicate key inside": LINE.replace(b'"target":{', b'"target":{"kind":"llvm",'),
    "NaN": LINE.replace(b"0.0011", b"NaN"),
    "infinity": LINE.replace(b"0.0011", b"1e999"),
    "negative time": LINE.replace(b"0.0011", b"-0.0011"),
    "huge integer": LINE.replace(b'"threads":2', b'"threads":' + b"9" * 5_000),
    "nesting bomb": b"[" * 500_000 + b"]" * 500_000,
    "nested extra": LINE.replace(b'"extra":{}', b'"extra":{"a":' + b"[" * 40 + b"]" * 40 + b"}"),
    "control character": LINE.replace(b"Some CPU", b"Some\\u001b[2J"),
    "newline": LINE.replace(b"Some CPU", b"Some\\nCPU"),
    "surrogate": LINE.replace(b"Some CPU", b"Some\\ud800"),
    "not UTF-8": LINE.replace(b"Some CPU", b"Some \xff"),
    "nul": LINE.replace(b"Some CPU", b"Some \x00"),
    "path as fingerprint": LINE.replace(b"x86-avx2-2-abc123", b"../../etc/cron.d"),
    "empty braces": b"{",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_lines_are_refused_in_one_short_line(name: str) -> None:
    started = time.process_time()
    with pytest.raises(EdgetuneError) as caught:
        read_line(HOSTILE[name])
    assert time.process_time() - started < 10
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400


def test_hostile_lines_leave_the_sound_ones_alone(tmp_path: Path) -> None:
    with store_with(tmp_path / "a.db", [record(), failed()]) as a:
        export_file(a, tmp_path / "a.jsonl")
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(b"\n".join(HOSTILE.values()) + b"\n" + (tmp_path / "a.jsonl").read_bytes())
    with Store(tmp_path / "b.db") as b:
        report = import_logs(b, path)
        assert (report.added, report.skipped_count) == (2, len(HOSTILE))
        assert [s.line for s in report.skipped] == list(range(1, len(HOSTILE) + 1))
        assert {r.id for r in b.records()} == {record().id, failed().id}


def workload_line(packed: bytes, **changes: Any) -> bytes:
    value = {"kind": "workload", "schema": 1, "hash": "a" * 16, "name": "x", "ir": base64.b64encode(packed).decode()}
    return canonical_bytes({**value, **changes})


@pytest.mark.parametrize(
    "line",
    [
        workload_line(zlib.compress(b"\0" * (MAX_IR_BYTES + 1))),
        workload_line(zlib.compress(b"{}")[:-3]),
        workload_line(zlib.compress(b"{}") + b"more"),
        workload_line(b"not zlib"),
        workload_line(zlib.compress(b"not json")),
        workload_line(zlib.compress(b"\xff")),
        workload_line(zlib.compress(b"[" * 100_000)),
        workload_line(zlib.compress(b"{}"), hash="../x"),
        workload_line(zlib.compress(b"{}"), ir="!!!"),
        workload_line(zlib.compress(b"{}"), ir="é"),
    ],
    ids=range(10),
)
def test_hostile_workloads_are_refused(line: bytes) -> None:
    with pytest.raises(EdgetuneError):
        read_line(line)


def test_lines_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"a" * 100 + b"\n" + b"b" * 10_000_000 + b"\nccc\n" + b"d" * 500)
    found = [(n, line and line[:1], whole) for n, line, whole in numbered_lines(path, limit=100)]
    assert found == [(1, b"a", True), (2, None, True), (3, b"c", True), (4, None, False)]


def test_a_sound_line_need_not_be_canonical() -> None:
    loose = json.dumps(json.loads(LINE), indent=None, separators=(", ", ": ")).encode()
    assert read_line(loose) == record()


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_the_strict_parser_agrees_with_a_plain_one_or_refuses(data: bytes) -> None:
    try:
        value = parse_strict(data)
    except EdgetuneError:
        return
    assert value == json.loads(data)


@pytest.mark.parametrize("digits", [18, 19, 20, 40])
def test_the_fast_way_and_the_slow_way_refuse_the_same_integers(digits: int) -> None:
    for text in (f"[{'9' * digits}]", f'{{"a":1.5,"b":[0.{"1" * 16},-{"9" * digits}]}}'):
        for line in (text.encode(), text.replace(",", ", ").encode()):
            if -(2**63) <= int("9" * digits) < 2**63:
                assert parse_strict(line) == json.loads(text)
            else:
                with pytest.raises(EdgetuneError, match="64 bits"):
                    parse_strict(line)


@pytest.mark.parametrize("depth", [20, 24, 25, 26, 200])
def test_the_fast_way_and_the_slow_way_agree_on_depth(depth: int) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        text = opening * depth + "1" + closing * depth
        outcomes = set()
        for line in (text.encode(), b" " + text.encode()):
            try:
                parse_strict(line)
                outcomes.add("passed")
            except EdgetuneError:
                outcomes.add("refused")
        assert outcomes == {"passed" if depth <= 24 else "refused"}


def test_small_times_take_the_fast_way() -> None:
    assert _is_plain(b"[0.0012345678901234567,0.00012345678901234567]")
    assert not _is_plain(b'["\\u001b"]')
    assert not _is_plain(b'["\x7f"]')
    assert _is_plain(rb'["\"a\\\""]')


def mutate(rng: random.Random, data: bytes) -> bytes:
    """`data` with a few bytes flipped, cut, doubled or replaced by something that means something to a parser."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[at : at + rng.randrange(1, 40)]
        elif kind == 2:
            end = min(len(out), at + rng.randrange(1, 200))
            out[at:at] = out[at:end]
        elif kind == 3:
            token = [
                b"null",
                b"{}",
                b"[[[[",
                b'"',
                b"NaN",
                b"-1",
                b"1e999",
                b"\n",
                b"\x00",
                b"\\u0000",
                b"9" * 30,
                b"true",
            ]
            out[at:at] = rng.choice(token)
        elif kind == 4:
            del out[at:]
        else:
            out[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 8)))
        if not out:
            break
    return bytes(out)


def test_a_thousand_mutated_logs_raise_nothing_else_and_leave_nothing_half_written(tmp_path: Path) -> None:
    rng = random.Random(20250131)
    sound = [record(), record(seed=2, trace=trace(2)), failed(seed=3)]
    with store_with(tmp_path / "a.db", sound) as a:
        export_file(a, tmp_path / "a.jsonl")
    data = (tmp_path / "a.jsonl").read_bytes()
    ids = {r.id for r in sound}
    accepted = 0
    path = tmp_path / "mutated.jsonl"
    with Store(tmp_path / "b.db") as b:
        for _ in range(1_000):
            path.write_bytes(mutate(rng, data))
            try:
                report = import_logs(b, path)
            except EdgetuneError as error:
                assert "\n" not in str(error)
                continue
            accepted += report.added
            assert all(s.reason.isprintable() for s in report.skipped)
        # a record's id is the hash of its content: what is in the store is one of the three, whole
        assert {r.id for r in b.records()} <= ids
        assert accepted <= len(ids)
        assert b.check() == []


def test_two_hundred_mutated_stock_files(tmp_path: Path) -> None:
    rng = random.Random(7)
    names = ("database_workload.json", "database_tuning_record.json")
    sources = {name: (DATA / "metaschedule" / name).read_bytes() for name in names}
    with Store(tmp_path / "b.db") as b:
        for _ in range(200):
            for name, data in sources.items():
                (tmp_path / name).write_bytes(mutate(rng, data))
            try:
                report = import_logs(b, tmp_path, fingerprint="fp")
            except EdgetuneError as error:
                assert "\n" not in str(error)
                continue
            assert all(s.reason.isprintable() for s in report.skipped)
        for one in b.records():
            check_trace(json.loads(one.trace))
        assert b.check() == []
        export_file(b, tmp_path / "all.jsonl")
        with Store(tmp_path / "c.db") as c:
            assert import_logs(c, tmp_path / "all.jsonl").skipped == []
            assert contents(c.path)[1] == contents(b.path)[1]


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["b0", "l1", "None", "{}", '"x"', "main", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["Split", "Annotate", "TransformLayout", "GetLoops", "x"]),
    a=_VALUES,
    b=_VALUES,
    c=_VALUES,
    d=_VALUES,
)
def test_any_trace_is_passed_or_refused(name: str, a: Any, b: Any, c: Any, d: Any) -> None:
    value = [[["GetSBlock", [], ["x", "main"], ["b0"]], ["GetLoops", ["b0"], [], ["l1"]], [name, a, b, c]], [d]]
    for candidate in (value, [a, b], a, normalise_trace(value)):
        try:
            check_trace(candidate)
        except EdgetuneError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("schema", [1, 2])
def test_lines_of_every_schema_are_read_for_ever(schema: int) -> None:
    """Lines as each schema was first written. Do not edit them; add a file for a new schema."""
    found = 0
    for line in (DATA / f"schema-{schema}.jsonl").read_bytes().splitlines(keepends=True):
        item = read_line(line.strip())
        found = max(found, msgspec.json.decode(line)["schema"])
        if not isinstance(item, tuple):
            assert record_line(item) == line
        else:
            assert lines.workload_line(item[0].hash, item[0].name, item[1]) == line
    assert found == schema <= lines.SCHEMA
