"""Result lines: the format of design.md, appended whole, read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler.bench.result import Result, append_results, encode_line, read_results
from compiler.bench.statistics import latency
from compiler.errors import EdgetuneError
from compiler.package import Accuracy

# As design.md has it, order included.
FIELDS = [
    *["schema", "model", "model_sha256", "engine", "engine_version", "target", "fingerprint", "device", "batch"],
    *["precision", "latency_ms", "runs", "images_per_s", "watts", "images_per_s_per_w", "power_source", "accuracy"],
    *["tuned_tasks", "tasks", "trials", "threads", "warnings", "started"],
]
LATENCY = ["mean", "p50", "p90", "p99", "min", "max", "cv"]
ACCURACY = ["reference", "max_abs_err", "rel_l2_err", "top1_agreement", "inputs", "ok"]


def result(**changes: object) -> Result:
    fields: dict[str, object] = {
        "model": "alexnet",
        "model_sha256": "00",
        "engine": "edgetune",
        "engine_version": "1",
        "target": "x86-avx2",
        "fingerprint": "f",
        "device": "d",
        "batch": 1,
        "precision": "fp32",
        "latency_ms": latency([0.001, 0.002]),
        "runs": 2,
        "images_per_s": 666.0,
        "accuracy": Accuracy(
            reference="onnxruntime fp32", max_abs_err=0.0, rel_l2_err=0.0, top1_agreement=None, inputs=4, ok=True
        ),
        "threads": 2,
        "started": "2026-01-01T00:00:00+00:00",
    }
    return Result(**{**fields, **changes})  # type: ignore[arg-type]


def test_fields_and_order() -> None:
    line = encode_line(result())
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    fields = json.loads(line)
    assert list(fields) == FIELDS
    assert list(fields["latency_ms"]) == LATENCY
    assert list(fields["accuracy"]) == ACCURACY
    for unmeasured in ("watts", "images_per_s_per_w", "power_source", "tuned_tasks", "tasks", "trials"):
        assert fields[unmeasured] is None
    assert fields["accuracy"]["top1_agreement"] is None
    assert fields["schema"] == 1


def test_append_and_read(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append_results(path, [result(), result(engine="openvino")])
    append_results(path, [result(engine="onnxruntime")])
    results, problems = read_results(path)
    assert [r.engine for r in results] == ["edgetune", "openvino", "onnxruntime"]
    assert results[0] == result()
    assert problems == []


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(encode_line(result()) + b'{"schema": 1, "mod')
    append_results(path, [result(engine="openvino")])
    with path.open("ab") as file:
        file.write(b"\xff\n\n[]\n" + b"[" * 50_000 + b"\n" + encode_line(result(schema=99)))
    results, problems = read_results(path)
    assert [r.engine for r in results] == ["edgetune", "openvino"]
    assert [problem.split(":")[1] for problem in problems] == ["2", "4", "6", "7", "8"]
    assert all("\n" not in problem for problem in problems)


def test_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(EdgetuneError, match="cannot write results"):
        append_results(tmp_path / "no" / "where", [result()])
    with pytest.raises(EdgetuneError, match="cannot read results"):
        read_results(tmp_path / "nowhere")
    with pytest.raises(EdgetuneError, match="cannot read results"):
        read_results(tmp_path)
