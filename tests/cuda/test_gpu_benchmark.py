"""The benchmark of GPUs: a whole dry run, and what it measures in which order, with the measuring left out."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import __main__ as gpu
from targets import cuda_toolkit
from tests.command import ROOT

OPTIONS = argparse.Namespace(
    models="small", batch="1", precision="fp16,fp32,tf32", target="cuda", tune="5m", vs="torch,tensorrt"
)
needs_cuda = pytest.mark.skipif(
    cuda_toolkit.why_no_toolkit("sm_87") is not None, reason="the extra [cuda] is not installed"
)


@needs_cuda
def test_a_dry_run_builds_all_that_would_be_measured(small: Path) -> None:
    chosen = [
        "--models",
        str(small),
        "--batch",
        "1",
        "--precision",
        "fp32,tf32",
        "--target",
        "jetson-orin",
        "--jobs",
        "2",
    ]
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry-run", *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    *cells, last = done.stdout.splitlines()
    assert last == "nothing was measured: this was a dry run"
    assert [line.partition(":")[0] for line in cells] == ["small-b1-fp32", "small-b1-tf32"]
    assert all(", 0 failed, " in line and " 0 candidates" not in line for line in cells)


class Commands:
    """In the place of the command: keeps what it was called with, and writes what `bench` writes."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fails = ""

    def __call__(self, *words: str | Path) -> bool:
        call = [str(word) for word in words]
        self.calls.append(call)
        if call[0] == self.fails:
            return False
        if call[0] == "compile":
            Path(call[-1]).touch()
        if call[0] == "bench":
            with Path(call[call.index("--json") + 1]).open("a", encoding="utf-8") as out:
                out.writelines(json.dumps(line) + "\n" for line in self._lines(call))
        return True

    def _lines(self, call: list[str]) -> list[dict[str, Any]]:
        precision = next(name for name in ("fp16", "fp32", "tf32") if name in Path(call[1]).name)
        speed = 50.0 if "zero-trial" in call[1] else 200.0
        common = {"model": "small", "batch": 1, "precision": precision}
        lines = [common | {"engine": "edgetune", "images_per_s": speed}]
        if "--vs" in call:
            lines.append(common | {"engine": "torch", "images_per_s": 160.0})
        return lines


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    made = Commands()
    monkeypatch.setattr(gpu, "edgetune", made)
    return made


def test_every_cell_is_tuned_and_measured(commands: Commands, tmp_path: Path) -> None:
    cells = list(gpu.cells(OPTIONS))
    assert all(gpu.measure(cell, OPTIONS, tmp_path) for cell in cells)
    made = ["tune", "compile", "compile", "bench", "bench"]
    assert [call[0] for call in commands.calls] == [*made, *made, *made]
    assert commands.calls[-1][1] == str(tmp_path / "small-b1-tf32.tar")
    lines = gpu.read(tmp_path / "results.jsonl")
    assert [len([line for line in lines if gpu._is(line, cell)]) for cell in cells] == [3, 3, 3]
    text = gpu.summary(lines, cells)
    assert "| small-b1-fp32 | 200 | torch 160 | 1.25 | torch 160 | 1.25 | 4.00 |" in text
    assert "| small-b1-tf32 | 200 | torch 160 | 1.25 | torch 160 | 1.25 | 4.00 |" in text
    assert "tf32, batch 1: geometric mean 1.25" in text
    # What is done is not done again.
    commands.calls.clear()
    assert all(gpu.measure(cell, OPTIONS, tmp_path) for cell in cells) and not commands.calls


def test_a_cell_that_fails_leaves_no_lines(commands: Commands, tmp_path: Path) -> None:
    commands.fails = "bench"
    cells = list(gpu.cells(OPTIONS))
    assert not any(gpu.measure(cell, OPTIONS, tmp_path) for cell in cells)
    assert not (tmp_path / "results.jsonl").exists()
    assert gpu.summary([], cells).count("not measured") == 3
