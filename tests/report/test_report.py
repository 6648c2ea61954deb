"""`edgetune report`: what it reads, what it writes, and what it says of lines that are no use."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import msgspec
import pytest

from compiler.bench.aa import AaLine
from compiler.bench.difference import difference
from compiler.bench.power.power import Power
from compiler.bench.statistics import latency
from compiler.errors import EdgetuneError, UsageError
from compiler.report.document.cells import cells
from compiler.report.document.compose import compose
from compiler.report.document.parts import NOT_MEASURED, Section
from compiler.report.document.plain import to_csv, to_markdown
from compiler.report.document.reading import Loaded, read_results
from compiler.report.published import published
from tests.command import edgetune_here, one_line
from tests.report.made import pair, result, write


def section(loaded: Loaded, title: str) -> Section:
    return next(one for one in compose(loaded).sections if one.title == title)


def test_what_bench_writes_is_read(tmp_path: Path) -> None:
    made = pair()
    loaded = read_results([write(tmp_path / "r.jsonl", made)])
    assert loaded.results == made
    assert loaded.bad == []


def test_lines_of_an_older_edgetune_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [result()])
    line = json.loads(path.read_text())
    for name in ("reason", "stability", "conditions", "ratios", "missing", "settings", "profile", "classification"):
        del line[name]
    path.write_text(json.dumps(line) + "\n")
    loaded = read_results([path])
    assert loaded.results[0].stability is None
    compose(loaded)


def test_bad_lines_are_named_and_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [result()])
    good = json.loads(path.read_text())
    figures = good["latency_ms"]
    bad = [
        "{torn",
        "[1]",
        "{}",
        json.dumps({**good, "schema": 2}),
        json.dumps({**good, "batch": "one"}),
        json.dumps({**good, "watts": 0}),
        json.dumps({**good, "latency_ms": {**figures, "min": figures["max"] * 2}}),
        "[" * 100_000,
        "\udcff",
    ]
    with path.open("ab") as file:
        file.write("\n".join(bad).encode("utf-8", "surrogateescape") + b"\n\n")
    loaded = read_results([path, path])
    assert len(loaded.results) == 1
    assert [line.split(": ")[0] for line in loaded.bad] == [f"{path}:{n}" for n in range(2, len(bad) + 2)]
    assert "newer edgetune" in loaded.bad[3]
    assert "what was not measured is null" in loaded.bad[5]
    assert loaded.repeated == len(bad) + 1


def test_published_points_are_data_of_the_package() -> None:
    points = published()
    assert len(points) == 15
    assert (points[0].images_per_s, points[0].watts, points[0].images_per_s_per_w) == (258.0, None, 45.0)
    assert [(p.bound, p.images_per_s) for p in points if p.bound] == [(">", 3000.0), ("<", 500.0)]


def test_published_points_stand_apart() -> None:
    speed = section(Loaded(results=[result()]), "Speed")
    ours, theirs = speed.charts[0].spec["layer"]
    assert [point["engine"] for point in ours["data"]["values"]] == ["edgetune"]
    assert all("replication" in p["source"] or "article" in p["source"] for p in theirs["data"]["values"])
    other = section(Loaded(results=[result(model="mine")]), "Speed")
    assert len(other.charts[0].spec["layer"]) == 1
    assert other.tables == []


def test_the_newest_of_a_cell_is_shown_and_the_first_compared() -> None:
    first = result(8.0)
    last = result(4.0, started="2026-02-01T00:00:00+00:00")
    loaded = Loaded(results=[first, last])
    (cell,) = cells(loaded.results)
    assert cell.last is last
    (row,) = section(loaded, "What was measured twice").tables[0].rows
    assert "faster" in row
    assert pytest.approx(0.5) in row
    same = Loaded(results=[first, result(8.0, started="2026-02-01T00:00:00+00:00")])
    assert "no difference shown" in section(same, "What was measured twice").tables[0].rows[0]


def test_ratios_are_told_with_their_spread() -> None:
    (row,) = section(Loaded(results=pair()), "Beside the peers").tables[0].rows
    assert row[-4:] == (0.8, 0.75, 0.9, "faster")


def test_accuracy_on_data_is_told() -> None:
    (row,) = section(Loaded(results=pair()), "Accuracy on data").tables[0].rows
    assert row[-8:] == (1000, 0.999, 990, 0.701, 0.702, 0.9, 0.901, "yes")


def test_an_aa_test_is_told(tmp_path: Path) -> None:
    line = AaLine(
        aa=difference([1.0] * 20, [1.0 + n / 1000 for n in range(20)]),
        model="alexnet",
        device="d",
        fingerprint="f",
        batch=1,
        precision="fp32",
        threads=2,
        started="2026-01-01T00:00:00+00:00",
    )
    path = write(tmp_path / "r.jsonl", [result()])
    with path.open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")
    loaded = read_results([path])
    assert (loaded.aa, loaded.bad) == ([line], [])
    tables = section(loaded, "Methods and environment").tables
    assert any("A/A" in table.title and len(table.rows) == 1 for table in tables)


def test_curves_are_drawn_and_tabled(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    line = {"task": "conv", "workload": "00", "run": "r", "best_seconds": [None, 2e-3, 2e-3, 1e-3], "share": 1.0}
    path.write_text(json.dumps(line) + "\n")
    tuning = section(read_results([path]), "Tuning")
    assert tuning.tables[0].rows == [("conv", 4, 2.0, 1.0, 2.0)]
    assert tuning.charts[0].spec["data"]["values"][0] == {"task": "1 conv", "trial": 2, "speed": 0.5}


def test_what_was_not_measured_is_listed() -> None:
    absent = result(model="vgg19", latency_ms=None, images_per_s=None, runs=0, reason="it does not fit in memory")
    gaps, lacking = section(Loaded(results=[*pair(), absent]), "What was not measured").tables
    assert ("vgg19 · batch 1 · fp32", "edgetune", "it does not fit in memory") in gaps.rows
    assert ("alexnet · batch 1 · fp32", "openvino", "the peer openvino is not installed") in gaps.rows
    assert ("power (W, images/s/W)", "2 of 2 results", "no power sensor was read") in lacking.rows
    assert all(name != "accuracy" for name, *_ in lacking.rows)


def test_power_stands_beside_idle_power_and_what_it_covers() -> None:
    power = Power(
        watts=20.0, idle_watts=5.0, joules=60.0, seconds=3.0, windows=5, of_windows=5, uncertainty=0.004,
        source="RAPL package-0", covers="CPU", method="differences", interval_s=0.05,
    )  # fmt: skip
    measured = result(ms=10.0, watts=20.0, images_per_s_per_w=5.0, power=power)
    unresolved = result(engine="openvino", power=Power(reason="unresolved in 5 of 5 windows: too short"))
    loaded = Loaded(results=[measured, unresolved])
    figures, sensors = section(loaded, "Power").tables
    shown = dict(zip([column.name for column in figures.columns], figures.rows[0], strict=True))
    assert (shown["W"], shown["idle W"], shown["images/s/W"]) == (20.0, 5.0, 5.0)
    assert shown["J a run"] == pytest.approx(20.0 * measured.latency_ms.mean / 1e3)  # type: ignore[union-attr]
    assert len(figures.rows) == 1
    assert sensors.rows == [("RAPL package-0 (CPU), a reading every 0.05 s; differences", 1)]
    lacking = section(loaded, "What was not measured").tables[-1]
    assert ("power (W, images/s/W)", "1 of 2 results", "unresolved in 5 of 5 windows: too short") in lacking.rows
    rows = list(csv.DictReader(io.StringIO(to_csv([measured, result()]))))
    assert [row["idle_watts"] for row in rows] == ["5.0", ""]


def test_csv_has_figures_in_full_and_gaps_empty() -> None:
    hostile = result(model='=HYPERLINK("x")')
    rows = list(csv.DictReader(io.StringIO(to_csv([result(), hostile]))))
    assert float(rows[0]["images_per_s"]) == result().images_per_s
    assert rows[0]["watts"] == ""
    assert rows[1]["model"].startswith("'=")


def test_markdown_escapes_names() -> None:
    text = "".join(to_markdown(compose(Loaded(results=[result(model="a|b<script>")]))))
    assert "a\\|b\\<script\\>" in text
    assert NOT_MEASURED in text


def test_figures_without_a_latency(tmp_path: Path) -> None:
    only = result(latency_ms=None, images_per_s=None, reason="no memory")
    assert "no memory" in "".join(to_markdown(compose(Loaded(results=[only]))))
    one = result(latency_ms=latency([0.01]), batch=None, images_per_s=None)
    compose(Loaded(results=[one]))


def test_the_command(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", pair())
    with path.open("a") as file:
        file.write("{torn\n")
    done = edgetune_here("report", path, "-o", tmp_path / "r.md")
    assert "2 results" in done.stdout
    assert f"warning: skipped {path}:3: " in done.stderr
    assert (tmp_path / "r.md").read_text().startswith("# ")
    (tmp_path / "none.jsonl").write_text("{torn\n")
    assert "no result to report" in one_line(edgetune_here("report", tmp_path / "none.jsonl", check=1).stderr)


def test_wrong_use(tmp_path: Path) -> None:
    from compiler.commands.report import report
    from compiler.report.output import Output

    path = write(tmp_path / "r.csv", [result()])
    with pytest.raises(UsageError, match="ends in"):
        report([str(path)], Output(), str(tmp_path / "r.doc"), None)
    with pytest.raises(UsageError, match="no such file"):
        report([str(tmp_path / "gone")], Output(), str(tmp_path / "r.md"), None)
    with pytest.raises(UsageError, match="this file is read"):
        report([str(path)], Output(), str(path), None)
    with pytest.raises(EdgetuneError, match="there is no folder"):
        report([str(path)], Output(), str(tmp_path / "gone" / "r.md"), None)
