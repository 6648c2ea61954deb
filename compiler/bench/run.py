"""Benchmarking a package beside peers: everything of `edgetune bench` but the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from compiler.bench.conditions import Conditions, Watch
from compiler.bench.engine import Engine, PackageEngine
from compiler.bench.environment import environment_warnings, series_warnings
from compiler.bench.peers import open_peer
from compiler.bench.power.meter import Meter
from compiler.bench.power.metering import Metering
from compiler.bench.power.power import Power, power_warnings, says
from compiler.bench.protocol import Measurement, Protocol, measure
from compiler.bench.result import PEERS_TF32, Result
from compiler.bench.stability import stability
from compiler.bench.stability import warnings as stability_warnings
from compiler.bench.statistics import Ratio, latency, paired_ratio
from compiler.bench.verify import Reference, onnx_reference, verify
from compiler.errors import EdgetuneError, UsageError
from compiler.frontend.model import Model
from compiler.package import Accuracy, Manifest
from compiler.runtime.outputs import device_kind
from compiler.runtime.session import Executable

DEFAULT = Protocol()
TOLERANCE = 0.05
"""Windows whose medians are nearer than this agree."""


@dataclass(frozen=True)
class BenchReport:
    """Results, ours first, then the peers'; our ratio to each peer; (peer, reason) for those that failed."""

    results: tuple[Result, ...]
    ratios: tuple[Ratio, ...]
    missing: tuple[tuple[str, str], ...]


def bench(
    executable: Executable,
    inputs: Sequence[Mapping[str, np.ndarray]],
    *,
    threads: int,
    model: Model | None = None,
    peers: Sequence[str] = (),
    protocol: Protocol = DEFAULT,
    progress: Callable[[str, int, int], None] | None = None,
    local: bool = True,
    meter: Meter | None = None,
    tf32: bool = False,
) -> BenchReport:
    """Measure a loaded package, and `peers` in the same turns, on the first of `inputs`.

    With `model`, which peers need, all engines are verified against ONNX Runtime on all of `inputs`, each at the
    tolerance of the precision that it computes in; without it our accuracy is the one in the manifest. A peer that is
    not installed or fails is reported, and the others go on. `meter` measures power in the windows of each engine. Of
    an executable that is not `local` this machine's load says nothing. With `tf32` peers may round the factors of an
    FP32 model to TF32: their precision is `tf32` then, and our line says so. Beside a package of `tf32` they may in any
    case. Raises EdgetuneError when the package itself fails, UsageError for wrong names or inputs, or where TF32 means
    nothing.
    """
    if not inputs:
        raise UsageError("a measurement needs at least one set of inputs")
    if peers and model is None:
        raise EdgetuneError("peers need the model that the package was compiled from, and it is not at hand")
    if tf32:
        must_know_tf32(executable.manifest)
    own = PackageEngine(executable)
    if tf32:
        own.settings = {PEERS_TF32: "1"}
        own.notes = ("edgetune computes in FP32 here, and the peers may use TF32, as packages of tf32 do",)
    engines: list[tuple[Engine, Accuracy | None]] = [(own, executable.manifest.accuracy)]
    missing: list[tuple[str, str]] = []
    if model is not None:
        reference = onnx_reference(model, threads)
        asked = "tf32" if tf32 else executable.manifest.precision
        engines = [(own, _accuracy(own, reference, inputs))]
        for name in peers:
            try:
                peer = open_peer(name, model, threads, asked, device_kind(executable.manifest))
                engines.append((peer, _accuracy(peer, reference, inputs)))
            except UsageError:
                raise
            except EdgetuneError as error:
                missing.append((name, str(error)))
        del reference  # its threads must not get in the way of those that are measured
    with Metering(meter) as metering:
        watch = Watch() if local else None
        measurements = measure([engine for engine, _ in engines], inputs[0], protocol, progress, metering.edges)
        conditions = watch.conditions() if watch is not None else None
        powers = metering.powers(measurements)
    warnings = environment_warnings(threads, conditions.other_cpus) if conditions is not None else []
    ours = [timing.seconds for timing in measurements[0].rounds]
    ratios = [
        paired_ratio(own.name, ours, called(engine), [timing.seconds for timing in other.rounds])
        for (engine, _), other in zip(engines[1:], measurements[1:], strict=True)
    ]
    results = [
        _result(executable, engine, measurement, accuracy, warnings, threads, protocol, conditions, power)
        for (engine, accuracy), measurement, power in zip(engines, measurements, powers, strict=True)
    ]
    results[0] = msgspec.structs.replace(results[0], ratios=ratios, missing=dict(missing))
    return BenchReport(tuple(results), tuple(ratios), tuple(missing))


def must_know_tf32(manifest: Manifest) -> None:
    """Raises UsageError for a package beside which TF32 means nothing."""
    if device_kind(manifest) != "cuda":
        raise UsageError(f"--tf32 is for GPUs, and {manifest.model.name} was compiled for {manifest.target.name}")
    if manifest.precision == "tf32":
        raise UsageError(
            f"--tf32 is for FP32, and beside {manifest.model.name}, of tf32, the peers may use TF32 anyway"
        )
    if manifest.precision != "fp32":
        raise UsageError(f"--tf32 is for FP32, and {manifest.model.name} was compiled with {manifest.precision}")


def called(engine: Engine) -> str:
    """What a ratio calls an engine: TF32 is not what it is called without."""
    return f"{engine.name} with TF32" if engine.precision == "tf32" else engine.name


def _accuracy(engine: Engine, reference: Reference, inputs: Sequence[Mapping[str, np.ndarray]]) -> Accuracy:
    try:
        return verify(engine.run, engine.inputs, reference, inputs, engine.precision).accuracy
    except EdgetuneError:
        raise
    except Exception as error:  # whatever a peer throws
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise EdgetuneError(
            f"{engine.name} failed on these inputs: {lines[0] if lines else type(error).__name__}"
        ) from error


def _result(
    executable: Executable,
    engine: Engine,
    measurement: Measurement,
    accuracy: Accuracy | None,
    warnings: Sequence[str],
    threads: int,
    protocol: Protocol,
    conditions: Conditions | None,
    power: Power | None,
) -> Result:
    manifest = executable.manifest
    seconds = measurement.seconds
    figures = latency(seconds)
    own = isinstance(engine, PackageEngine)
    images_per_s = None if manifest.batch is None else manifest.batch * 1e3 / figures.mean
    watts = None if power is None else power.watts
    settled = stability([timing.seconds for timing in measurement.rounds], protocol.tolerance or TOLERANCE)
    unsettled = stability_warnings(settled) if protocol.tolerance is not None else []
    unverified = ["this package was not verified"] if own and not manifest.verified else []
    return Result(
        model=manifest.model.name,
        model_sha256=manifest.model.sha256,
        engine=engine.name,
        engine_version=engine.version,
        target=manifest.target.name,
        fingerprint=executable.fingerprint,
        device=executable.device,
        batch=manifest.batch,
        precision=engine.precision,
        latency_ms=figures,
        runs=len(seconds),
        images_per_s=images_per_s,
        watts=watts,
        images_per_s_per_w=None if images_per_s is None or watts is None else images_per_s / watts,
        power_source=says(power) if power is not None and watts is not None else None,
        accuracy=accuracy,
        tuned_tasks=manifest.tasks - len(manifest.untuned) if own else None,
        tasks=manifest.tasks if own else None,
        trials=manifest.trials if own else None,
        threads=threads,
        warnings=[
            *warnings,
            *unverified,
            *engine.notes,
            *series_warnings(len(seconds), figures.cv),
            *unsettled,
            *power_warnings(power),
        ],
        started=measurement.started,
        stability=settled,
        conditions=conditions,
        settings=dict(engine.settings),
        power=power,
    )
