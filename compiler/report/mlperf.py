"""Runs under MLPerf's load as a table."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.bench.mlperf.outcome import MlperfRun
from compiler.bench.mlperf.scenarios import OFFLINE, PERFORMANCE
from compiler.bench.run import BenchReport
from compiler.report import format as fmt
from compiler.report.output import Output

_COLUMNS = ("model", "batch", "precision", "scenario", "mode", "figure", "value", "queries", "samples", "verdict")


def show_load(output: Output, reports: Iterable[BenchReport]) -> None:
    """A line for each run, and where the logs are; nothing where there are none."""
    loaded = [(report.results[0], whole) for report in reports if (whole := report.results[0].mlperf) is not None]
    if not loaded:
        return
    versions = ", ".join(sorted({whole.loadgen for _, whole in loaded}))
    output.table(
        _COLUMNS,
        (
            (
                *(result.model, result.batch, result.precision, run.scenario, run.mode),
                *(figure_name(run), figure(run), run.queries, run.samples, verdict(run)),
            )
            for result, whole in loaded
            for run in whole.runs
        ),
        title=f"MLPerf's load, by LoadGen {versions}; {loaded[0][1].review}",
        right="batch,value,queries,samples",
    )
    for result, whole in loaded:
        output.say(f"{result.model}: LoadGen's logs are in {whole.folder}")


def figure_name(run: MlperfRun) -> str:
    """What a run is judged by."""
    if run.mode != PERFORMANCE:
        return "relative L2 error" if run.agreement is None else "top-1 agreement"
    return "samples/s" if run.scenario == OFFLINE else f"p{run.percentile} latency, ms"


def figure(run: MlperfRun) -> str | None:
    """The figure that `figure_name` names, as a person reads it."""
    if run.mode != PERFORMANCE:
        if run.agreement is not None:
            return f"{run.agreement:.2%}"
        return fmt.significant(None if run.accuracy is None else run.accuracy.rel_l2_err)
    if run.latency_ms is None:
        return fmt.significant(run.samples_per_s)
    return fmt.significant(run.latency_ms.judged)


def verdict(run: MlperfRun) -> str | None:
    """LoadGen's word on a performance run, with `short run` beside it where it was one; else ours on the answers."""
    if run.mode != PERFORMANCE:
        return None if run.right is None else "right" if run.right else "WRONG"
    return f"{run.verdict}, {'short run' if run.short else 'full length'}"
