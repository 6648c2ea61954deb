"""A result: one measured line, model x target x batch x precision x engine, as design.md fixes it."""

from __future__ import annotations

from msgspec import Struct

from compiler.bench.classified import Classification
from compiler.bench.conditions import Conditions
from compiler.bench.mlperf.outcome import Mlperf
from compiler.bench.power.power import Power
from compiler.bench.profile import ProfileReport
from compiler.bench.stability import Stability
from compiler.bench.statistics import Latency, Ratio
from compiler.packaging.manifest import Accuracy

SCHEMA = 1
PEERS_TF32 = "peers_allow_tf32"
"""The setting of our own line that says that peers could round FP32 to TF32, which ours, of FP32, does not."""


class Result(Struct, frozen=True, kw_only=True):
    """Fields and order are the file format. What was not measured is None, never zero and never guessed.

    `tuned_tasks`, `tasks` and `trials` are None for peers, `images_per_s` is None where the model has no batch.
    What follows `started` came later, and older lines have none of it: `reason` says why a cell of a suite has no
    figures; `ratios` and `missing` (peer: why) are in our own line only, and so are `profile` and `classification`,
    which --profile and --dataset add, and `mlperf`, which --mlperf adds.
    `power` says how `watts` was measured, or why it was not.
    """

    schema: int = SCHEMA
    model: str
    model_sha256: str
    engine: str
    engine_version: str
    target: str
    fingerprint: str
    device: str
    batch: int | None
    precision: str
    latency_ms: Latency | None
    runs: int
    images_per_s: float | None
    watts: float | None = None
    images_per_s_per_w: float | None = None
    power_source: str | None = None
    accuracy: Accuracy | None = None
    tuned_tasks: int | None = None
    tasks: int | None = None
    trials: int | None = None
    threads: int
    warnings: list[str] = []
    started: str
    reason: str | None = None
    stability: Stability | None = None
    conditions: Conditions | None = None
    ratios: list[Ratio] = []
    missing: dict[str, str] = {}
    settings: dict[str, str] = {}
    profile: ProfileReport | None = None
    classification: Classification | None = None
    mlperf: Mlperf | None = None
    power: Power | None = None
