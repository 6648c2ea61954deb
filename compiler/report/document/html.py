"""The document as one HTML file that needs nothing else: its style, its data and Vega, which draws, are within.

Its own policy (Content-Security-Policy) forbids it to fetch anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from html import escape
from importlib.resources import files

from compiler.report.document.colours import config
from compiler.report.document.parts import NOT_MEASURED, Column, Document, Section, Table
from compiler.report.document.vega import VEGA_LITE, vega

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; img-src data:"
_TALL = 40
"""A table with more rows scrolls within itself, its head staying where it is."""
_LONG = 48
"""Characters; a longer text may take several lines."""
_PRINTED = 500
"""A folded part with more rows stays folded in print."""


def to_html(document: Document) -> Iterator[str]:
    """The file's text, in pieces. Raises EdgetuneError where Vega is not installed."""
    charts = [chart for section in document.sections for chart in section.charts]
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(document.title)}</title>\n<style>\n{_resource('page.css')}</style>\n</head>\n<body>\n"
    )
    yield f"<h1>{escape(document.title)}</h1>\n"
    yield from (f'<p class="lead">{escape(line)}</p>\n' for line in document.lead)
    links = (f'<a href="#s{n}">{escape(part.title)}</a>' for n, part in enumerate(document.sections))
    yield f"<nav>{' '.join(links)}</nav>\n"
    chart = 0
    for number, section in enumerate(document.sections):
        yield from _section(number, section, chart)
        chart += len(section.charts)
    if charts:
        specs = {"specs": [{"$schema": VEGA_LITE, **one.spec} for one in charts], "config": config()}
        # `</script>` in a name would end the element.
        data = json.dumps(specs, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        yield f'<script type="application/json" id="charts">{data}</script>\n'
        yield f"<script>{vega().replace('</script', '<' + chr(92) + '/script')}</script>\n"
        yield f"<script>\n{_resource('page.js')}</script>\n"
    yield "</body>\n</html>\n"


def _section(number: int, section: Section, chart: int) -> Iterator[str]:
    yield f'<section id="s{number}">\n<h2>{escape(section.title)}</h2>\n'
    yield from (f"<p>{escape(text)}</p>\n" for text in section.paragraphs if text)
    for offset, drawn in enumerate(section.charts):
        caption = escape(drawn.caption)
        yield (
            f'<figure><figcaption>{caption}</figcaption><div class="chart" role="img" aria-label="{caption}" '
            f'data-chart="{chart + offset}"></div></figure>\n'
        )
    for table in section.tables:
        rows = len(table.rows)
        if section.folded:
            yield f"<details{' data-print' if rows <= _PRINTED else ''}><summary>{rows} rows</summary>\n"
        yield from _table(table)
        if section.folded:
            yield "</details>\n"
    yield "</section>\n"


def _table(table: Table) -> Iterator[str]:
    tall = " tall" if len(table.rows) > _TALL else ""
    yield f'<div class="wide{tall}" tabindex="0"><table>'
    if table.title:
        yield f"<caption>{escape(table.title)}</caption>"
    heads = "".join(f"<th{_right(column)}>{escape(column.name)}</th>" for column in table.columns)
    yield f"<thead><tr>{heads}</tr></thead><tbody>\n"
    for row in table.rows:
        cells = "".join(_cell(column, value) for column, value in zip(table.columns, row, strict=True))
        yield f"<tr>{cells}</tr>\n"
    yield "</tbody></table></div>\n"


def _cell(column: Column, value: object) -> str:
    shown = escape(column.show(value))
    if column.kind == "text":
        kind = ' class="no"' if value == "NO" else ' class="long"' if len(shown) > _LONG else ""
        return f"<td{kind}>{shown}</td>"
    if value is None:
        return f'<td class="n none">{NOT_MEASURED}</td>'
    # The figure in full is there for a program, and for whoever looks at it.
    return f'<td class="n"><data value="{escape(str(value))}">{shown}</data></td>'


def _right(column: Column) -> str:
    return "" if column.kind == "text" else ' class="n"'


@lru_cache(maxsize=2)
def _resource(name: str) -> str:
    return (files("compiler.report.document") / name).read_text(encoding="utf-8")
