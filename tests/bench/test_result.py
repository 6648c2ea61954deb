"""Result lines: the format of design.md, field by field."""

from __future__ import annotations

import json

import msgspec

from compiler.bench.result import Result
from compiler.bench.statistics import latency
from compiler.package import Accuracy

# As design.md has it, order included; then what came later.
FIELDS = [
    *["schema", "model", "model_sha256", "engine", "engine_version", "target", "fingerprint", "device", "batch"],
    *["precision", "latency_ms", "runs", "images_per_s", "watts", "images_per_s_per_w", "power_source", "accuracy"],
    *["tuned_tasks", "tasks", "trials", "threads", "warnings", "started"],
    *["reason", "stability", "conditions", "ratios", "missing", "settings", "profile", "classification"],
    *["mlperf", "power"],
]
LATENCY = ["mean", "p50", "p90", "p99", "min", "max", "cv"]
ACCURACY = ["reference", "max_abs_err", "rel_l2_err", "top1_agreement", "inputs", "ok", "uncertainty"]


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
    line = msgspec.json.encode(result())
    assert b"\n" not in line
    fields = json.loads(line)
    assert list(fields) == FIELDS
    assert list(fields["latency_ms"]) == LATENCY
    assert list(fields["accuracy"]) == ACCURACY
    for unmeasured in ("watts", "images_per_s_per_w", "power_source", "tuned_tasks", "tasks", "trials"):
        assert fields[unmeasured] is None
    assert fields["accuracy"]["top1_agreement"] is None
    assert fields["schema"] == 1
