"""Suites: what they hold, what is done already, and a real one that is interrupted by a model that fails."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from compiler.bench.statistics import Ratio
from compiler.bench.suite import Cell, Done, suite
from compiler.errors import UsageError
from tests.command import edgetune_here, one_line
from tests.report.made import result
from tests.runtime import small


def test_classic() -> None:
    classic = suite("classic", gpu=False)
    cells = list(classic.cells())
    assert len(cells) == 8
    assert cells[0] == Cell("alexnet", 1, "fp32")
    assert {cell.batch for cell in cells} == {1, 48}
    assert suite("classic", gpu=True).batches == (1, 128)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('models = ["a.onnx", "alexnet"]\nbatches = [2, 2]\npeers = ["openvino"]\nseconds = 1\n')
    found = suite(str(path), gpu=False)
    assert [cell.model for cell in found.cells()] == ["a", "alexnet"]
    for text, match in (
        ("models = 3", "Expected"),
        ('models = ["a"]\nbatch = [1]', "unknown field"),
        ('models = ["a"]\nbatches = [0]', "from 1 on"),
        ("models = []", "needs models"),
        ('models = ["a"]\nprecisions = ["int8"]', "no precision"),
        ('models = ["a"]\npeers = ["me"]', "no peer"),
        ('models = ["a"]\nseconds = nan', "below zero"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=match):
            suite(str(path), gpu=False)
    with pytest.raises(UsageError, match="give `classic`"):
        suite("modern", gpu=False)


def test_what_is_done() -> None:
    ours = result(ratios=[Ratio("edgetune", "onnxruntime", 1.0, 1.0, 1.0)], missing={"openvino": "not installed"})
    done = Done([ours, result(batch=48, latency_ms=None, images_per_s=None, reason="no memory")])
    cell = Cell("alexnet", 1, "fp32")
    assert done.has(cell, ours.target, ours.device, ["onnxruntime", "openvino"])
    assert not done.has(cell, ours.target, ours.device, ["torch"])
    assert not done.has(cell, ours.target, "another", [])
    assert not done.has(Cell("alexnet", 1, "fp16"), ours.target, ours.device, [])
    # What failed is tried again.
    assert not done.has(Cell("alexnet", 48, "fp32"), ours.target, ours.device, [])


@pytest.mark.slow
def test_a_suite_goes_on_where_it_ended(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.onnx", tmp_path / "bad.onnx"
    onnx.save(small.onnx_model(), good)
    bad.write_bytes(b"no model")
    models = json.dumps([str(bad), str(good)])
    (tmp_path / "s.toml").write_text(
        f'models = {models}\nbatches = [2]\npeers = ["onnxruntime"]\nruns = 3\nseconds = 0.0\n'
    )
    results = tmp_path / "r.jsonl"
    command = ("bench", "--suite", tmp_path / "s.toml", "--zero-trial", "--json", results)
    done = edgetune_here(*command, check=1)
    assert "1 cell of 2 failed" in one_line(done.stderr)
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(line["model"], line["engine"]) for line in lines] == [
        ("bad", "edgetune"),
        ("good", "edgetune"),
        ("good", "onnxruntime"),
    ]
    assert (lines[0]["latency_ms"], lines[0]["images_per_s"]) == (None, None)
    assert lines[0]["reason"]
    # The model is mended, and only that cell is measured.
    onnx.save(small.onnx_model(), bad)
    done = edgetune_here(*command)
    assert "1 of 2 cells are in" in done.stderr
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["model"] for line in lines] == ["bad", "good", "good", "bad", "bad"]
    assert "what to measure" in one_line(edgetune_here("bench", check=2).stderr)
    assert "--json FILE" in one_line(edgetune_here("bench", "--suite", "classic", check=2).stderr)
