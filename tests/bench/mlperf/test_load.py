"""Real packages under LoadGen's load: every scenario and mode, batches, a data set, a board, and what goes wrong."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import onnx
import psutil
import pytest

import targets
from compiler.bench.mlperf.load import measure_load
from compiler.bench.mlperf.logs import DETAIL, SUMMARY
from compiler.bench.mlperf.order import Data, Duration
from compiler.bench.mlperf.outcome import Mlperf, MlperfRun
from compiler.bench.mlperf.warnings import load_warnings
from compiler.errors import EdgetuneError
from compiler.frontend import load
from compiler.package import ModelInfo, Package, open_package, write
from compiler.runtime.rpc.address import Way
from compiler.tensors import TensorSpec
from tests.command import ROOT, edgetune, one_line
from tests.runtime import small
from tests.runtime.agent import agents
from tests.waiting import wait_for

pytest.importorskip("mlperf_loadgen")
pytestmark = pytest.mark.skipif(
    targets.why_not_run(targets.get(small.TARGET)) is not None, reason=f"this CPU cannot run {small.TARGET}"
)

QUICK = Duration(seconds=0.2, queries=70)
TOO_FEW = Duration(seconds=0.005, queries=70)
"""For MultiStream's 662 queries of eight samples, in which no machine runs a sample in less than a microsecond."""


def made(folder: Path, batch: int) -> Package:
    source = folder / f"small{batch}.onnx"
    onnx.save(small.onnx_model(batch), source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    info = ModelInfo(name="small", source=str(source), sha256=digest, batch=batch, shapes={"x": (batch, 3, 8, 8)})
    return small.package(folder, batch, model=info, verified=True)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A package of batch 1."""
    return made(tmp_path_factory.mktemp("single"), 1)


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A package of batch 2."""
    return made(tmp_path_factory.mktemp("double"), 2)


def measured(package: Package, runs: list[tuple[str, str]], logs: Path, **options: object) -> Mlperf:
    model = load(package.manifest.model.source)
    *_, whole = measure_load(package, runs=runs, logs=logs, model=model, **options)  # type: ignore[arg-type]
    return whole


def run_of(whole: Mlperf, scenario: str, mode: str = "performance") -> MlperfRun:
    return next(run for run in whole.runs if (run.scenario, run.mode) == (scenario, mode))


@pytest.fixture(scope="module")
def whole(single: Package, tmp_path_factory: pytest.TempPathFactory) -> Mlperf:
    """Every scenario of the package of batch 1, and its answers in two."""
    runs = [(scenario, "performance") for scenario in ("SingleStream", "MultiStream", "Offline")]
    runs += [("SingleStream", "accuracy"), ("MultiStream", "accuracy")]
    return measured(single, runs, tmp_path_factory.mktemp("logs"), duration=QUICK, data=Data(seed=3))


def test_single_stream(whole: Mlperf) -> None:
    run = run_of(whole, "SingleStream")
    assert (run.verdict, run.why, run.errors) == ("VALID", [], [])
    assert run.queries is not None
    assert run.queries == run.samples == run.batches >= 70
    assert run.percentile == 90
    figures = run.latency_ms
    assert figures is not None
    assert 0 < figures.min <= figures.p50 <= figures.p90 == figures.judged <= figures.p99 <= figures.max
    assert 0 < figures.computing < figures.judged
    assert figures.early_stopping is not None
    assert figures.early_stopping >= figures.p90
    assert run.seconds is not None
    assert run.seconds > 0.1
    assert (run.padded, run.gathered, run.transfers) == (0, 0, None)
    detail = (Path(run.folder) / DETAIL).read_text()
    assert f'"result_90.00_percentile_latency_ns", "value": {round(figures.p90 * 1e6)}' in detail
    assert "Result is : VALID" in (Path(run.folder) / SUMMARY).read_text()


def test_multi_stream_with_too_few_queries_is_invalid(single: Package, tmp_path: Path) -> None:
    whole = measured(single, [("MultiStream", "performance")], tmp_path, duration=TOO_FEW, data=Data(seed=3))
    run = run_of(whole, "MultiStream")
    assert run.queries is not None
    assert run.queries < 662
    assert run.verdict == "INVALID"
    assert any("Need to process at least 662 queries" in reason for reason in run.why)
    assert (run.samples_per_query, run.percentile) == (8, 99)
    assert run.samples == 8 * run.queries
    assert any("MLPerf MultiStream is INVALID" in warning for warning in load_warnings(whole))


def test_offline(whole: Mlperf) -> None:
    run = run_of(whole, "Offline")
    assert (run.verdict, run.queries, run.latency_ms) == ("VALID", 1, None)
    assert run.samples == run.samples_per_query == run.batches >= 70
    assert run.samples_per_s is not None
    assert run.seconds == pytest.approx(run.samples / run.samples_per_s, rel=1e-3)
    assert run.seconds >= 0.2


def test_answers_agree_with_the_reference(whole: Mlperf) -> None:
    for scenario in ("SingleStream", "MultiStream"):
        run = run_of(whole, scenario, "accuracy")
        assert (run.verdict, run.short, run.latency_ms, run.right) == (None, None, None, True)
        assert run.samples == whole.samples == 64
        assert run.accuracy is not None
        assert run.accuracy.inputs == 64
        assert run.agreement == 1.0
        assert run.accuracy.rel_l2_err is not None
        assert run.accuracy.rel_l2_err < 1e-5


def test_short_runs_say_so(whole: Mlperf) -> None:
    run = run_of(whole, "SingleStream")
    assert run.short
    assert (run.min_seconds, run.min_queries, run.official_seconds) == (0.2, 70, 600)
    offline = run_of(whole, "Offline")
    assert (offline.short, offline.official_queries) == (True, 24576)
    assert run_of(whole, "MultiStream").official_queries == 662
    text = (Path(whole.folder) / "README.txt").read_text()
    assert "SHORT: SingleStream" in text
    assert "not verified by MLCommons" in text
    assert any("MLPerf Offline: a short run" in warning for warning in load_warnings(whole))
    assert msgspec.json.decode((Path(whole.folder) / "mlperf.json").read_bytes(), type=Mlperf) == whole


def test_batches_are_filled_up_and_the_data_set_is_judged(double: Package, tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    random = np.random.default_rng(0)
    np.savez(data, x=random.normal(size=(11, 3, 8, 8)).astype("float32"), labels=random.integers(0, 5, 11))
    runs = [("Offline", "performance"), ("SingleStream", "performance"), ("Offline", "accuracy")]
    whole = measured(double, runs, tmp_path, duration=Duration(seconds=0.0, queries=71), data=Data(dataset=str(data)))
    # Eleven items, of which ten fill the package's batches, are the performance set.
    assert (whole.samples, whole.resident) == (11, 10)
    offline = run_of(whole, "Offline")
    assert (offline.samples, offline.batches, offline.padded) == (71, 36, 1)
    # Offline repeats the ten samples in their order, so all whole batches were ready; the last one was not.
    assert offline.gathered == 1
    assert offline.official_queries == 11
    one = run_of(whole, "SingleStream")
    assert one.queries is not None
    assert (one.batches, one.padded) == (one.queries, one.queries)
    judged = run_of(whole, "Offline", "accuracy")
    seen = judged.classification
    assert seen is not None
    assert (seen.inputs, seen.labelled, seen.agreement, seen.ok) == (11, 11, 1.0, True)
    assert seen.top1 == seen.reference_top1
    assert any("only to fill up batches" in warning for warning in load_warnings(whole))
    assert any(f"{one.queries} of {one.queries} batches were put together" in text for text in load_warnings(whole))


def test_on_a_board(single: Package, tmp_path: Path) -> None:
    with agents.running(agents.KINDS[0]) as board:
        runs = [("SingleStream", "performance"), ("SingleStream", "accuracy")]
        whole = measured(single, runs, tmp_path, duration=QUICK, data=Data(), way=Way(board.address))
    run = run_of(whole, "SingleStream")
    assert run.verdict == "VALID"
    assert run.transfers is not None
    # All samples went there before; the answers, five figures each, came back while they were timed.
    assert run.transfers.before_bytes == 64 * 3 * 8 * 8 * 4
    assert run.transfers.within_bytes == run.samples * 5 * 4
    assert "calls to the board" in whole.timed
    assert run_of(whole, "SingleStream", "accuracy").agreement == 1.0


def test_a_failing_package_ends_with_one_line(single: Package, tmp_path: Path) -> None:
    outputs = [*single.manifest.outputs, TensorSpec("z", (1, 5), "float32")]
    with single.unpack() as folder:
        library = (folder / "library.so").read_bytes()
    lying = write(
        tmp_path / "lying.tar", {"library.so": library}, msgspec.structs.replace(single.manifest, outputs=outputs)
    )
    with pytest.raises(EdgetuneError, match="the library returns 1 outputs and its manifest lists 2"):
        # Accuracy mode has no warm-up: the failure is in LoadGen's call.
        measured(lying, [("Offline", "accuracy")], tmp_path, duration=QUICK, data=Data())


def test_a_process_that_is_killed_is_no_hang(single: Package, tmp_path: Path) -> None:
    def kill(text: str) -> None:
        if text.startswith("MLPerf"):
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.Error):  # one that has just ended
                    if "compiler.bench.mlperf.process" in child.cmdline():
                        child.kill()

    with pytest.raises(EdgetuneError, match="LoadGen's process was ended by SIGKILL"):
        list(
            measure_load(
                single,
                runs=[("SingleStream", "performance")],
                duration=Duration(full=True),
                data=Data(),
                logs=tmp_path,
                say=kill,
            )
        )


def test_ctrl_c_keeps_what_was_measured(single: Package, tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    options = ["--mlperf", "single-stream", "--mlperf-full", "--mlperf-logs", tmp_path / "logs"]
    command = ["bench", single.path, "--seconds", "0", "--runs", "3", "--json", results, *options]
    process = subprocess.Popen(
        [sys.executable, ROOT / "cli.py", *map(str, command)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("MLPerf SingleStream"):
            break
    (child,) = psutil.Process(process.pid).children()
    time.sleep(1.0)  # well within LoadGen's run
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(240) == 130
    assert one_line(process.stderr.read()) == "error: interrupted"
    wait_for(lambda: not child.is_running())
    (result,) = map(json.loads, results.read_text().splitlines())
    assert result["mlperf"] is None
    assert result["runs"] >= 3


def test_the_command(single: Package, tmp_path: Path) -> None:
    results, page = tmp_path / "r.jsonl", tmp_path / "r.md"
    load_options = ["--mlperf", "Offline", "--mlperf-mode", "performance,accuracy", "--mlperf-logs", tmp_path / "logs"]
    done = edgetune("bench", single.path, "--seconds", "0.1", "--runs", "70", "--json", results, *load_options)
    assert "VALID, short run" in done.stdout
    assert "not verified by MLCommons" in done.stdout
    assert "warning: small, edgetune: MLPerf Offline: a short run" in done.stderr
    (result,) = map(json.loads, results.read_text().splitlines())
    assert [run["mode"] for run in result["mlperf"]["runs"]] == ["performance", "accuracy"]
    assert Path(result["mlperf"]["folder"]).is_dir()
    edgetune("report", results, "-o", page)
    text = page.read_text()
    assert "## MLPerf's load" in text
    assert "VALID, short run" in text
    opened = open_package(single.path)
    assert opened.manifest == single.manifest
