"""A machine with a GPU, from tuning to the benchmark beside others: all of edgetune runs as there, but the machine
code. No speed is looked at: the GPU is emulated."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from targets import cuda_toolkit
from tests.command import ROOT, edgetune, one_line
from tests.cuda.device import machine
from tests.frontend.graphs_for_tests import graph, node, save, values
from tests.runtime.agent import agents

pytestmark = pytest.mark.skipif(
    cuda_toolkit.why_no_toolkit("sm_90") is not None, reason="the extra [cuda] is not installed"
)


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that sees the GPU."""
    folder = tmp_path_factory.mktemp("gpu") / "device"
    machine.build(folder)
    return machine.environment(folder)


@pytest.fixture(scope="module")
def desk(gpu: dict[str, str]) -> dict[str, str]:
    """The environment of a process that has no GPU, and compiles for the other's."""
    return machine.environment(Path(gpu["EMULATED_GPU"]), sees=False)


@pytest.fixture(scope="module")
def tuned(gpu: dict[str, str], small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of `small` in FP16, compiled from records of its tuning on the GPU."""
    package = tmp_path_factory.mktemp("tuned") / "small.tar"
    # Some candidates of every kernel, without the cache emptied before each call: that is emulated, too, and slow.
    chosen = ("--target", "cuda", "--precision", "fp16", "--seed", "0")
    done = edgetune("tune", small, *chosen, "--trials", "12", "--l2", "warm", **gpu)
    assert "12 trials (0 failed)" in done.stdout
    assert "the GPU (Emulated GPU) measured 12 trials, at most 40 degrees" in done.stdout
    assert "boards" not in done.stderr
    done = edgetune("compile", small, *chosen, "-o", package, **gpu)
    assert "8 of 8 tasks, 12 trials" in done.stdout and "yes, against onnxruntime" in done.stdout
    return package


def test_records_hold_what_the_gpu_was_like(tuned: Path, gpu: dict[str, str], tmp_path: Path) -> None:
    edgetune("logs", "export", tmp_path / "records.jsonl", **gpu)
    lines = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    records = [line for line in lines if "trace" in line]
    assert len({(record["workload"], str(record["trace"])) for record in records}) == 12
    assert all("emulated-gpu" in str(record) for record in records)
    assert all(record["provenance"]["throttled"] is False for record in records)


def test_what_was_tuned_runs_by_a_graph_and_kernel_by_kernel(tuned: Path, gpu: dict[str, str], tmp_path: Path) -> None:
    line = tmp_path / "line.jsonl"
    bench = ("bench", tuned, "--seconds", "0.2", "--runs", "3", "--profile")
    done = edgetune(*bench, "--json", line, "--vs", "torch,tensorrt,onnxruntime-cuda", **gpu)
    assert done.stderr.count("is not installed: pip install") == 3
    assert "device's own clock" in done.stdout
    assert "mma.sync of FP16 with FP32 sums on 528 blocks" in done.stdout
    [result] = [json.loads(text) for text in line.read_text().splitlines()]
    assert result["device"] == "Emulated GPU" and result["accuracy"]["ok"]
    assert result["power"]["source"] == "NVML gpu0" and result["watts"] == pytest.approx(100, rel=0.01)
    assert result["conditions"]["throttled"] is False
    assert "right" in edgetune("verify", tuned, **gpu).stdout


def test_memory_of_a_graphs_kernels_is_kept_when_a_later_one_needs_more(gpu: dict[str, str], tmp_path: Path) -> None:
    sizes = (512, 512, 128, 1024, 1024)  # sums that are split; the last, which the graph leaves out, into the most
    nodes, weights, data = [], {}, "x"
    for number, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{number}"] = values(number, rows, columns) / np.float32(rows**0.5)
        last = number == len(sizes) - 2
        nodes.append(node("MatMul", [data, f"w{number}"], ["y" if last else f"m{number}"]))
        if not last:
            nodes.append(node("Relu", [f"m{number}"], [f"r{number}"]))
        data = f"r{number}"
    model = save(graph(nodes, [("x", [1, sizes[0]])], ["y"], weights), tmp_path)
    done = edgetune("compile", model, "--target", "cuda", "--zero-trial", "-o", tmp_path / "package.tar", **gpu)
    assert "yes, against onnxruntime" in done.stdout


def test_a_board_with_a_gpu_is_tuned_and_measured_from_a_desk_without(
    gpu: dict[str, str], desk: dict[str, str], small: Path, tmp_path: Path
) -> None:
    package = tmp_path / "small.tar"
    chosen = ("--target", "cuda-sm90", "--seed", "0")
    with agents.running(
        agents.Kind("with a GPU", lambda: [sys.executable, str(ROOT / "cli.py"), "serve"], environment=gpu)
    ) as agent:
        there = ("--rpc", f"{agent.address.host}:{agent.address.port}")
        assert "Emulated GPU" in edgetune("devices", *there, **desk).stdout
        done = edgetune("tune", small, *chosen, *there, "--trials", "8", "--l2", "warm", **desk)
        assert "8 trials (0 failed)" in done.stdout
        done = edgetune("compile", small, *chosen, "-o", package, **desk)
        assert "8 of 8 tasks, 8 trials" in done.stdout
        assert "right" in edgetune("verify", package, *there, **desk).stdout
        done = edgetune("bench", package, *there, "--seconds", "0.2", "--runs", "3", "--profile", **desk)
        assert "device's own clock" in done.stdout
        assert "on the board: FP32 multiply-adds on 528 blocks" in done.stdout


def test_without_the_gpu_it_is_refused(tuned: Path) -> None:
    assert "no NVIDIA GPU" in one_line(edgetune("run", tuned, check=None).stderr)


def test_the_benchmark_goes_from_tuning_to_a_table(gpu: dict[str, str], small: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "benchmarks.gpu", "--models", str(small), "--batch", "2", "--tune", "8s"),
        *("--precision", "tf32", "--folder", str(tmp_path / "results")),
    ]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **gpu}, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "results" / "records.jsonl").stat().st_size
    summary = (tmp_path / "results" / "summary.md").read_text()
    assert "small-b2-tf32 | " in summary and "not measured" not in summary
