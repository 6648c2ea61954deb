"""MLCommons' LoadGen: the one place that names its API.

`StartTest` returns when the test has ended. It calls the system under test on the thread that it was called on, so
that thread should be the one that computes. An exception must never pass through it: its C++ would be left with files
and threads that nobody ends.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from compiler.bench.mlperf.order import Duration
from compiler.bench.mlperf.scenarios import ACCURACY, MULTI_STREAM, OFFLINE, SINGLE_STREAM
from compiler.errors import EdgetuneError

if TYPE_CHECKING:
    from compiler.bench.mlperf.samples import Samples
    from compiler.bench.mlperf.system import System

_MODULE = "mlperf_loadgen"
_DISTRIBUTION = "mlcommons-loadgen"
_MOST_OFFLINE = 24576
"""Samples that the rules ask of Offline, or as many as the data set has where those are fewer (LoadGen's mlperf.conf,
which has the figure by the names of its benchmarks only)."""
_MARGIN = 1.1
"""Offline asks for so many more samples than the warm-up promises, so that a run is not too short where the machine
gets faster; LoadGen adds as much again."""

T = TypeVar("T")


def must_be_installed() -> None:
    """Raises EdgetuneError where LoadGen is not."""
    if find_spec(_MODULE) is None:
        raise EdgetuneError("--mlperf needs LoadGen, MLPerf's own load generator: pip install 'edgetune[mlperf]'")


def loadgen_version() -> str:
    """As its distribution says it."""
    try:
        return version(_DISTRIBUTION)
    except PackageNotFoundError:  # built from its sources
        return "unknown"


@dataclass(frozen=True)
class Lengths:
    """How long a run is at least, and what MLPerf's rules ask for. In Offline, queries are samples."""

    seconds: float
    queries: int
    official_seconds: float
    official_queries: int


def samples_per_query(scenario: str) -> int:
    """How many samples come at a time; 1 for Offline, whose only query has all of them."""
    return int(_official(scenario).multi_stream_samples_per_query) if scenario == MULTI_STREAM else 1


def lengths(scenario: str, duration: Duration, data_samples: int | None) -> Lengths:
    """What a run is asked for; `data_samples` is the size of a data set, None for random inputs.

    Short runs take LoadGen's defaults (10 s, 100 queries), MultiStream with the fewest queries that its 99th percentile
    can be judged by.
    """
    official, default = _official(scenario), _module().TestSettings()
    queries = int(official.min_query_count)
    if scenario == OFFLINE:
        queries = min(_MOST_OFFLINE, data_samples or _MOST_OFFLINE)
    seconds = official.min_duration_ms / 1e3
    if duration.full:
        return Lengths(seconds, queries, seconds, queries)
    fewest = queries if scenario == MULTI_STREAM else int(default.min_query_count)
    return Lengths(
        default.min_duration_ms / 1e3 if duration.seconds is None else duration.seconds,
        fewest if duration.queries is None else duration.queries,
        seconds,
        queries,
    )


def start_test(
    system: System,
    samples: Samples,
    scenario: str,
    mode: str,
    asked: Lengths,
    folder: Path,
    failed: Callable[[BaseException], NoReturn],
) -> None:
    """Run a test, with its logs in `folder`; call it where `system` computes.

    What goes wrong in the system under test is given to `failed`, which must end the process.
    """
    module = _module()
    respond, response = module.QuerySamplesComplete, module.QuerySampleResponse

    def issue(ids: Sequence[int], numbers: Sequence[int]) -> None:
        for start, rows in system.answers(numbers):
            first, size = rows.ctypes.data, rows.shape[1]
            respond(
                [response(ids[start + row], first + row * size, size) for row in range(len(rows))],
            )

    def guarded(function: Callable[..., T]) -> Callable[..., T]:
        def call(*arguments: Any) -> T:
            try:
                return function(*arguments)
            except BaseException as error:  # noqa: BLE001 - nothing may pass through LoadGen
                failed(error)

        return call

    settings = _settings(system, scenario, mode, asked, samples)
    logging = module.LogSettings()
    logging.log_output.outdir = str(folder)
    logging.enable_trace = False
    sut = module.ConstructFastSUT(guarded(issue), lambda: None)
    library = module.ConstructQSL(
        samples.size, samples.resident, guarded(system.load), guarded(lambda _numbers: system.unload())
    )
    system.begin()
    gc.disable()
    try:
        # LoadGen would take settings from a file audit.config of the current folder.
        module.StartTestWithLogSettings(sut, library, settings, logging, str(folder / "audit.config"))
    finally:
        gc.enable()
        module.DestroyQSL(library)
        module.DestroyFastSUT(sut)
    (folder / "mlperf_log_trace.json").unlink(missing_ok=True)  # empty, since nothing is traced


def _settings(system: System, scenario: str, mode: str, asked: Lengths, samples: Samples) -> Any:
    """The official ones, with the durations `asked` for, and what the system is expected to do from a short run."""
    module = _module()
    settings = _official(scenario)
    settings.mode = module.TestMode.AccuracyOnly if mode == ACCURACY else module.TestMode.PerformanceOnly
    settings.min_duration_ms = round(asked.seconds * 1e3)
    settings.min_query_count = asked.queries
    if mode == ACCURACY:
        return settings  # nothing is timed, and all samples are issued
    count = system.batch if scenario == OFFLINE else samples_per_query(scenario)
    system.load(range(min(samples.size, max(count, system.batch))))
    seconds = system.shortest(count, asked.seconds)
    system.unload()
    # LoadGen makes its queries beforehand, twice as many as it expects: with too long a latency they run out.
    if scenario == SINGLE_STREAM:
        settings.single_stream_expected_latency_ns = seconds * 1e9
    elif scenario == MULTI_STREAM:
        settings.multi_stream_expected_latency_ns = seconds * 1e9
    else:
        settings.offline_expected_qps = _MARGIN * count / seconds
    return settings


def _official(scenario: str) -> Any:
    """LoadGen's settings as its own mlperf.conf has them for any model: durations, percentiles, seeds."""
    module = _module()
    settings = module.TestSettings()
    settings.scenario = getattr(module.TestScenario, scenario)
    settings.FromConfig("", "*", scenario, 0)
    return settings


def _module() -> Any:
    must_be_installed()
    import mlperf_loadgen

    return mlperf_loadgen
