"""Runs under MLPerf's load, as LoadGen judged them."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.bench.mlperf.scenarios import PERFORMANCE
from compiler.report.document.cells import Cell, short_device
from compiler.report.document.parts import Column, Section, Table
from compiler.report.mlperf import figure_name, verdict

_WHAT = (Column("model"), Column("device"), Column("batch"), Column("precision"), Column("scenario"))
_SPEED = (
    *_WHAT,
    Column("figure"),
    Column("value", "number"),
    Column("LoadGen's verdict"),
    Column("queries", "number"),
    Column("samples", "number"),
    Column("seconds", "number"),
    Column("asked of it"),
    Column("its reasons"),
)
_ACCURACY = (
    *_WHAT,
    Column("data"),
    Column("samples", "number"),
    Column("top-1 agreement", "share", 2),
    Column("relative L2 error", "number"),
    Column("verdict"),
)


def mlperf_section(cells: Sequence[Cell]) -> Section | None:
    """The newest runs of each cell that has some."""
    speed: list[tuple[object, ...]] = []
    accuracy: list[tuple[object, ...]] = []
    short = False
    texts: dict[str, None] = {}
    for cell in cells:
        loaded = [result for result in cell.results if result.mlperf is not None]
        if not loaded:
            continue
        r, whole = loaded[-1], loaded[-1].mlperf
        assert whole is not None  # noqa: S101 - chosen for it
        texts[f"LoadGen {whole.loadgen}; {whole.review}. Latency is {whole.timed}."] = None
        for run in whole.runs:
            what = (r.model, short_device(r.device), r.batch, r.precision, run.scenario)
            if run.mode != PERFORMANCE:
                seen = run.classification or run.accuracy
                error = None if seen is None else seen.rel_l2_err
                accuracy.append((*what, whole.data, run.samples, run.agreement, error, verdict(run)))
                continue
            short |= bool(run.short)
            value = run.samples_per_s if run.latency_ms is None else run.latency_ms.judged
            asked = (
                f"{run.min_seconds:g} s, {run.min_queries}; rules: {run.official_seconds:g} s, {run.official_queries}"
            )
            speed.append(
                (
                    *(*what, figure_name(run), value, verdict(run), run.queries, run.samples, run.seconds),
                    *(asked, " ".join(run.why) or None),
                )
            )
    if not texts:
        return None
    section = Section(
        "MLPerf's load",
        [
            "Load and verdict are those of MLCommons' LoadGen: SingleStream issues one sample after the other, "
            "MultiStream eight at a time, Offline all at once.",
            *texts,
        ],
    )
    if short:
        section.paragraphs.append(
            "Short runs are marked: they were asked to be shorter than MLPerf's rules have it, and VALID then means "
            "valid for what was asked."
        )
    if speed:
        section.tables.append(Table(_SPEED, speed, "Performance").without_constant("device"))
    if accuracy:
        section.tables.append(
            Table(
                _ACCURACY, accuracy, "Accuracy: LoadGen's log of all answers beside ONNX Runtime in FP32"
            ).without_constant("device")
        )
    return section
