"""Tuning curves, from real records to a real picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import cli
from compiler.records.curves import curves
from compiler.records.store import open_store
from compiler.report.curves import draw_model
from tests.records.samples import HASHES, WORKLOADS, failed, record, trace


def times(*seconds: float | None, workload: str = HASHES[0], run: str = "run-1") -> list:
    """A record per trial, in order; None is one that failed."""
    made = []
    for number, value in enumerate(seconds):
        fields = {"workload": workload, "run": run, "trace": trace(unroll=number)}
        fields["created"] = f"2026-01-01T00:00:{number:02d}.000000Z"
        made.append(failed(**fields) if value is None else record(seconds=(value,), **fields))
    return made


def test_the_best_so_far_and_the_share_of_it() -> None:
    [curve] = curves(times(None, 4.0, 6.0, 2.0, None, 3.0))
    assert curve.best == (None, 4.0, 4.0, 2.0, 2.0, 2.0)
    assert [curve.share(n) for n in (1, 2, 3, 4, 6, 99)] == [None, 0.5, 0.5, 1.0, 1.0, 1.0]


def test_runs_and_tasks_are_apart_and_checks_are_no_trials() -> None:
    records = times(1.0, 2.0) + times(3.0, run="run-2") + times(4.0, workload=HASHES[1]) + times(0.1, run="check")
    found = curves(reversed(records))
    assert {(c.workload, c.run): c.best for c in found} == {
        (HASHES[0], "run-1"): (1.0, 1.0),
        (HASHES[0], "run-2"): (3.0,),
        (HASHES[1], "run-1"): (4.0,),
    }


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_picture(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install edgetune[report])")
    with open_store(tmp_path / "logs") as store:
        for workload in WORKLOADS:
            store.add_workload(workload)
        store.add_many(times(None, *[1.0 / (n + 1) for n in range(40)]))
    picture = tmp_path / f"curve.{ending}"
    options = ["--logs", str(tmp_path / "logs"), "--json", str(tmp_path / "out.jsonl"), "-o", str(picture)]
    assert cli.main(["logs", "curve", *options]) == 0
    assert picture.stat().st_size > 1000
    said = json.loads((tmp_path / "out.jsonl").read_text())
    assert said["workload"] == HASHES[0] and len(said["best_seconds"]) == 41
    assert said["share"] == pytest.approx(15 / 40)
    assert "37.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["-o", "curve.txt"], 2, "svg"),
        (["-o", "/dev/null/c.svg"], 1, "/dev/null"),
        (["--least", "99"], 1, "99 trials"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    options: list[str], status: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(tmp_path / "logs") as store:
        store.add_workload(WORKLOADS[0])
        store.add_many(times(1.0, 2.0))
    given = options if "-o" in options else [*options, "-o", str(tmp_path / "c.svg")]
    assert cli.main(["logs", "curve", "--logs", str(tmp_path / "logs"), *given]) == status
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and message in said[0]


def test_of_many_curves_those_that_take_most_time_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
    hashes = [f"{n:016x}" for n in range(30)]
    found = curves([one for digest in hashes for one in times(3.0, 2.0, 1.0, workload=digest)])
    names = {digest: f"task {n}" for n, digest in enumerate(hashes)}
    drawn: list[list[str]] = []
    save = figures.Figure.savefig

    def noted(figure: Any, path: Path) -> None:
        left, right = figure.axes
        drawn.append([text.get_text() for text in left.get_legend().get_texts()])
        drawn.append([label.get_text() for label in right.get_yticklabels()])
        save(figure, path)

    monkeypatch.setattr(figures.Figure, "savefig", noted)
    draw_model(tmp_path / "p.png", found, names, [(name, 1.0) for name in names.values()], "30 tasks")
    legend, bars = drawn
    assert sorted(legend) == sorted([*(f"task {n}" for n in range(7)), "median of 30"])
    assert bars[0] == "1  task 0"
    assert bars[-1] == "10 more"
    assert (tmp_path / "p.png").stat().st_size > 1000
