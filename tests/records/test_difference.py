"""Comparing two logs, and what chance may do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cli
from compiler.records.difference import difference
from compiler.records.exchange.export import export_file, export_folder
from compiler.records.significance import CHANCE, compare
from tests.records.samples import HASHES, record, store_with, trace

_SECONDS = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=8)


def test_three_repeats_apart_are_just_enough() -> None:
    assert compare([3.0, 3.1, 3.2], [1.0, 1.1, 1.2]).probability == pytest.approx(0.1)
    assert compare([3.0, 3.1, 3.2], [1.0, 1.1, 1.2]).significant
    assert not compare([3.0, 3.1, 1.05], [1.0, 1.1, 1.2]).significant
    assert not compare([3.0], [1.0]).significant
    assert compare([3.0] * 500, [1.0] * 500).probability < 1e-6


@given(a=_SECONDS, b=_SECONDS)
def test_the_comparison_is_symmetric_and_a_probability(a: list[float], b: list[float]) -> None:
    one, other = compare(a, b), compare(b, a)
    assert 0 < one.probability <= 1
    assert one.probability == pytest.approx(other.probability)
    assert compare(a, a).probability > CHANCE
    assert one.ratio == pytest.approx(1 / other.ratio)


def test_the_probabilities_are_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    for a, b in (([1.0, 2.0, 4.0, 9.0], [3.0, 5.0, 6.0]), ([1.0, 2.0], [3.0, 4.0, 5.0, 0.5])):
        assert compare(a, b).probability == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue)


def test_what_is_new_faster_and_slower(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow, fast = (0.003, 0.0031, 0.0032), (0.001, 0.0011, 0.0012)
    noisy = (0.0029, 0.00305, 0.0032)
    before = [record(seconds=slow), record(workload=HASHES[1], seconds=slow), record(workload=HASHES[2], seconds=fast)]
    after = [
        *(before[0], record(trace=trace(2), seconds=fast)),
        *(before[1], record(workload=HASHES[1], trace=trace(2), seconds=noisy)),
        record(workload=HASHES[2], seconds=slow),
        record(fingerprint="other"),
    ]
    (tmp_path / "a").mkdir()
    with store_with(tmp_path / "a" / "records.db", before) as a, store_with(tmp_path / "b.db", after) as b:
        found = {(d.fingerprint, d.workload): (d.new, d.gone, d.verdict) for d in difference(a, b)}
        assert found == {
            ("other", HASHES[0]): (1, 0, "new"),
            ("x86-avx2-2-abc123", HASHES[0]): (1, 0, "faster"),
            ("x86-avx2-2-abc123", HASHES[1]): (1, 0, "within chance"),
            ("x86-avx2-2-abc123", HASHES[2]): (1, 1, "slower"),
        }
        assert [d.verdict for d in difference(a, b, fingerprint="other")] == ["new"]
        assert difference(b, b) == []
        export_folder(b, tmp_path / "b")
        export_file(a, tmp_path / "a.jsonl")
    assert cli.main(["logs", "diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json", str(tmp_path / "d.json")]) == 0
    out = capsys.readouterr().out
    assert "4 records that" in out and "lacks 1" in out
    assert "1 faster, 1 new, 1 slower, 1 within chance" in out
    first = (tmp_path / "d.json").read_text().splitlines()[0]
    assert json.loads(first)["verdict"] == "new"
    assert cli.main(["logs", "diff", str(tmp_path / "a"), str(tmp_path / "a.jsonl")]) == 0
    assert "hold the same records" in capsys.readouterr().out
    assert cli.main(["logs", "diff", str(tmp_path / "a"), str(tmp_path / "absent")]) == 2
