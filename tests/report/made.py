"""Result lines that are made, not measured: whole, and with something in every field."""

from __future__ import annotations

from pathlib import Path

import msgspec

from compiler.bench.classified import Classification
from compiler.bench.conditions import Conditions
from compiler.bench.peak import Peak
from compiler.bench.profile import KernelRow, ProfileReport
from compiler.bench.result import Result
from compiler.bench.stability import stability
from compiler.bench.statistics import Ratio, latency
from compiler.package import Accuracy

CONDITIONS = Conditions(
    system="Linux 6.1 x86_64",
    usable_cpus=2,
    quota_cpus=None,
    governor="performance",
    power_mode=None,
    load=0.5,
    other_cpus=0.01,
    clock_mhz_before=3000.0,
    clock_mhz_after=2990.0,
    celsius_before=None,
    celsius_after=None,
    throttled=False,
)
PROFILE = ProfileReport(
    rows=(
        KernelRow("fused_conv2d_add_relu", 3, 4.5, 0.75, 120.0, 4.0, 0.6, 0.2),
        KernelRow("softmax", 1, 1.5, 0.25, None, 2.0, None, 0.1),
    ),
    machine_ms=0.1,
    total_ms=6.2,
    peak=Peak(200.0, 20.0, 2, "assumed"),
)
ACCURACY = Accuracy(
    reference="onnxruntime fp32", max_abs_err=1e-6, rel_l2_err=1e-6, top1_agreement=1.0, inputs=4, ok=True
)
CLASSIFICATION = Classification(
    dataset="images",
    inputs=1000,
    labelled=990,
    reference="onnxruntime fp32",
    agreement=0.999,
    top1=0.701,
    top5=0.9,
    reference_top1=0.702,
    reference_top5=0.901,
    rel_l2_err=1e-3,
    ok=True,
)


def result(ms: float = 8.0, **changes: object) -> Result:
    """A result of about `ms` milliseconds; `changes` are fields."""
    windows = [[ms * 1e-3 * (1 + 0.001 * n + 0.01 * step) for step in range(4)] for n in range(5)]
    durations = [one for window in windows for one in window]
    figures = latency(durations)
    fields: dict[str, object] = {
        "model": "alexnet",
        "model_sha256": "ab" * 32,
        "engine": "edgetune",
        "engine_version": "0.1.0",
        "target": "x86-avx2",
        "fingerprint": "x86-avx2-some-cpu-2c",
        "device": "Some(R) CPU @ 3 GHz",
        "batch": 1,
        "precision": "fp32",
        "latency_ms": figures,
        "runs": len(durations),
        "images_per_s": 1e3 / figures.mean,
        "accuracy": ACCURACY,
        "threads": 2,
        "started": "2026-01-01T00:00:00+00:00",
        "stability": stability(windows, 0.05),
        "conditions": CONDITIONS,
    }
    return Result(**{**fields, **changes})  # type: ignore[arg-type]


def pair(**changes: object) -> list[Result]:
    """Ours beside one peer that was measured and one that was not."""
    ours = result(
        ratios=[Ratio("edgetune", "onnxruntime", 0.8, 0.75, 0.9)],
        missing={"openvino": "the peer openvino is not installed"},
        profile=PROFILE,
        classification=CLASSIFICATION,
        **changes,
    )
    return [ours, result(10.0, engine="onnxruntime", settings={"intra_op_num_threads": "2"}, **changes)]


def write(path: Path, results: list[Result]) -> Path:
    """The lines, as `bench --json` writes them."""
    path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in results))
    return path
