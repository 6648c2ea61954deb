"""Benchmark results as tables."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.bench.difference import Difference
from compiler.bench.profile import ProfileReport
from compiler.bench.result import Result
from compiler.bench.run import BenchReport
from compiler.report import format as fmt
from compiler.report.mlperf import show_load
from compiler.report.output import Output
from compiler.report.power import show_power
from compiler.runtime.instrument import GRAPH

_KERNELS_SHOWN = 30
_LATENCIES = ("mean", "p50", "p90", "p99", "min", "max")
_FIGURES = ("batch", *(f"{name} ms" for name in _LATENCIES), "cv", "images/s")
_COLUMNS = ("model", "batch", "engine", "precision", *_FIGURES[1:], "verified")


def show_bench(output: Output, reports: Iterable[BenchReport]) -> None:
    """One table of all engines and models, then the ratios, what was missing, and the warnings, each said once."""
    reports = list(reports)
    output.table(
        _COLUMNS,
        (_row(result) for report in reports for result in report.results),
        right=",".join(_FIGURES),
    )
    for report in reports:
        for ratio in report.ratios:
            name = report.results[0].model
            word = "faster" if ratio.ratio < 1 else "slower"
            output.say(
                f"{name}: latency is {ratio.ratio:.3f}x that of {ratio.reference} ({word}; "
                f"{ratio.low:.3f} to {ratio.high:.3f} over the rounds)"
            )
        seen = report.results[0].classification
        if seen is not None:
            right = (
                "" if seen.top1 is None else f"; right in {seen.top1:.2%}, the reference in {seen.reference_top1:.2%}"
            )
            output.say(
                f"{report.results[0].model}: top-1 agreement with {seen.reference} is {seen.agreement:.2%} over "
                f"{fmt.count(seen.inputs, 'item')} of {seen.dataset}{right}"
            )
            for problem in seen.problems:
                output.warn(f"{report.results[0].model}: {problem}")
        for peer, reason in report.missing:
            output.warn(f"{peer} was not measured: {reason}")
    show_power(output, reports)
    show_load(output, reports)
    said: dict[str, None] = {}
    for report in reports:
        for result in report.results:
            said.update(dict.fromkeys(f"{result.model}, {result.engine}: {warning}" for warning in result.warnings))
    shared = _shared_by_all(reports)
    for warning in shared:
        output.warn(warning)
    for line in said:
        if not any(line.endswith(f": {warning}") for warning in shared):
            output.warn(line)


def show_profile(output: Output, name: str, report: ProfileReport) -> None:
    """Time per kernel, slowest first."""
    rows = [
        (
            row.name,
            row.calls,
            fmt.significant(row.milliseconds),
            fmt.share(row.share),
            # A copy does no arithmetic: a dash says so better than many zeros.
            fmt.significant(row.gflops or None),
            fmt.share(row.of_peak_flops or None),
            fmt.significant(row.gb_s),
            fmt.share(row.of_peak_bandwidth),
        )
        for row in report.rows[:_KERNELS_SHOWN]
    ]
    rest = report.rows[_KERNELS_SHOWN:]
    if rest:
        milliseconds = sum(row.milliseconds for row in rest)
        share = sum(row.share for row in rest)
        calls = sum(row.calls for row in rest)
        others = f"{len(rest)} other kernels"
        rows.append((others, calls, fmt.significant(milliseconds), fmt.share(share), None, None, None, None))
    output.table(
        ("kernel", "calls", "ms", "of time", "GFLOP/s", "of peak", "GB/s", "of peak "),
        rows,
        title=f"{name}: kernels",
        right="calls,ms,of time,GFLOP/s,of peak,GB/s,of peak ",
    )
    output.say(
        f"{fmt.significant(report.machine_ms)} ms go between kernels; a run with this instrument takes "
        f"{fmt.significant(report.total_ms)} ms"
    )
    if any(row.name.startswith(GRAPH) for row in report.rows):
        output.say("kernels are launched as one CUDA graph: compile with --no-cuda-graph to see each of them")
    if report.clock == "device":
        output.say("the kernels were timed by the device's own clock")
    if report.peak is not None:
        gflops, gb_s = fmt.significant(report.peak.gflops), fmt.significant(report.peak.gb_s)
        output.say(f"peak: {gflops} GFLOP/s, {gb_s} GB/s ({report.peak.how})")
        if any((row.of_peak_bandwidth or 0.0) > 1 for row in report.rows):
            output.say("more than 100 % of the peak's GB/s: what the kernel reads is in the caches already")
    elif report.no_peak is not None:
        output.say(f"peak: {report.no_peak}")


def show_aa(output: Output, name: str, found: Difference) -> None:
    """What the same package seemed to differ by from itself, and so the smallest difference that can be told."""
    output.say(
        f"{name}: the same package twice, {fmt.count(found.pairs, 'pair')} of turns: {found.ratio - 1:+.2%} "
        f"({found.low - 1:+.2%} to {found.high - 1:+.2%})"
    )
    output.say(f"{name}: the smallest difference that this machine can show now is {fmt.share(found.smallest)}")
    if found.found:
        output.warn(f"{name}: a difference was found where there is none: this machine cannot compare just now")


def _row(result: Result) -> tuple[object, ...]:
    figures = result.latency_ms
    latencies = [None if figures is None else fmt.significant(getattr(figures, name)) for name in _LATENCIES]
    verified = None if result.accuracy is None else "yes" if result.accuracy.ok else "NO"
    return (
        result.model,
        result.batch,
        result.engine,
        result.precision,
        *latencies,
        None if figures is None else fmt.share(figures.cv),
        fmt.significant(result.images_per_s),
        verified,
    )


def _shared_by_all(reports: list[BenchReport]) -> list[str]:
    """Warnings about the machine, which every result carries."""
    every = [set(result.warnings) for report in reports for result in report.results]
    if len(every) < 2:
        return []
    first = reports[0].results[0].warnings
    return [warning for warning in first if all(warning in warnings for warnings in every)]
