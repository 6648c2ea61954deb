"""The document as Markdown, and its results as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from compiler.bench.result import Result
from compiler.report.document.parts import Document, Table

_LATENCIES = ("mean", "p50", "p90", "p99", "min", "max", "cv")
_ACCURACY = ("reference", "max_abs_err", "rel_l2_err", "top1_agreement", "inputs", "ok")
_FIELDS = (
    *("model", "model_sha256", "engine", "engine_version", "target", "fingerprint", "device", "batch", "precision"),
    *("images_per_s", "watts", "images_per_s_per_w", "power_source", "runs", "threads", "tuned_tasks", "tasks"),
    *("trials", "started", "reason"),
)


def to_markdown(document: Document) -> Iterator[str]:
    """All sections, without their charts: the tables have the figures."""
    yield f"# {document.title}\n\n" + "\n".join(document.lead) + "\n"
    for section in document.sections:
        yield f"\n## {_escaped(section.title)}\n"
        yield from (f"\n{text}\n" for text in section.paragraphs if text)
        for table in section.tables:
            yield from _table(table)


def to_csv(results: Sequence[Result]) -> str:
    """A line for each result, figures in full; what was not measured is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    latencies = (f"latency_ms_{name}" for name in _LATENCIES)
    writer.writerow([*_FIELDS, *latencies, *(f"accuracy_{name}" for name in _ACCURACY), "idle_watts", "warnings"])
    for r in results:
        values = [getattr(r, name) for name in _FIELDS]
        values += [getattr(r.latency_ms, name, None) for name in _LATENCIES]
        values += [getattr(r.accuracy, name, None) for name in _ACCURACY]
        values.append(None if r.power is None else r.power.idle_watts)
        writer.writerow([_harmless(value) for value in (*values, "; ".join(r.warnings))])
    return text.getvalue()


def _table(table: Table) -> Iterable[str]:
    yield f"\n**{_escaped(table.title)}**\n" if table.title else ""
    yield "\n| " + " | ".join(_escaped(column.name) for column in table.columns) + " |\n"
    yield "|" + "|".join(" --- " if column.kind == "text" else " ---: " for column in table.columns) + "|\n"
    for row in table.rows:
        cells = (column.show(value) for column, value in zip(table.columns, row, strict=True))
        yield "| " + " | ".join(_escaped(cell) for cell in cells) + " |\n"


def _escaped(text: str) -> str:
    for char in "\\|<>*_`[]":
        text = text.replace(char, "\\" + char)
    return text


def _harmless(value: object) -> object:
    """Spreadsheets run a text that begins so; names come from strangers' files."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
