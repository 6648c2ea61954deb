"""The page in a real browser, without a network: what it shows is what the results say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.commands.report import report
from compiler.report.document.cells import cells
from compiler.report.document.colours import LIGHT
from compiler.report.output import Output
from tests.report.browser import CHROMIUM, Page, browser
from tests.report.made import pair, result, write

pytest.importorskip("vl_convert")
chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    hostile = "<img src=x onerror=alert(1)></script><script>console.error('in')</script>"
    results = [
        *pair(),
        *pair(batch=48, precision="fp16", watts=30.0, images_per_s_per_w=4.2, power_source="rapl"),
        result(model=hostile, device=hostile, warnings=[hostile]),
        result(9.0, started="2026-03-01T00:00:00+00:00"),
    ]
    written = write(folder / "results.jsonl", results)
    report([str(written)], Output(), str(folder / "report.html"), None)
    return folder / "report.html"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@chromium
def test_nothing_goes_wrong_and_nothing_is_fetched(page: Page, page_file: Path) -> None:
    page.open(page_file)
    assert page.console == []
    assert page.requests == [page_file.absolute().as_uri()]
    charts = page.run("document.querySelectorAll('.chart').length")
    assert charts > 5
    assert page.run("document.querySelectorAll('.chart svg').length") == charts
    assert page.run("document.querySelectorAll('img').length") == 0
    drawn = page.run(
        "[...document.querySelectorAll('.chart svg')].every(one => one.querySelector('.mark-symbol, .mark-rect'))"
    )
    assert drawn


@chromium
def test_the_numbers_on_the_page_are_those_of_the_results(page: Page, page_file: Path) -> None:
    from compiler.report.document.reading import read_results

    page.open(page_file)
    loaded = read_results([page_file.parent / "results.jsonl"])
    table = page.run(
        "[...document.querySelectorAll('h2')].find(one => one.textContent === 'Results').parentElement"
        ".querySelectorAll('tbody tr').length"
    )
    assert table == len(cells(loaded.results))
    shown = page.run("[...document.querySelectorAll('data')].map(one => Number(one.value))")
    for cell in cells(loaded.results):
        r = cell.last
        assert r.latency_ms is not None
        figures = [r.images_per_s, r.latency_ms.mean, r.latency_ms.p50, r.latency_ms.p90, r.latency_ms.p99]
        assert [value for value in figures if value not in shown] == []
    text = page.run("document.body.innerText")
    assert "not measured" in text
    assert "Some @ 3 GHz" in text
    labels = page.run("[...document.querySelectorAll('.chart svg text')].map(one => one.textContent)")
    assert any("Titan X" in label for label in labels)


@chromium
def test_a_phone_does_not_scroll_sideways(page: Page, page_file: Path) -> None:
    page.open(page_file, width=390, height=844)
    assert page.run("document.documentElement.scrollWidth") <= 390
    widths = page.run("[...document.querySelectorAll('.chart svg')].map(one => one.getBoundingClientRect().width)")
    assert max(widths) <= 390
    assert page.console == []


@chromium
def test_the_dark_and_paper(page: Page, page_file: Path, tmp_path: Path) -> None:
    ink = "getComputedStyle(document.body).color"
    page.open(page_file)
    light = page.run(ink)
    page.open(page_file, dark=True)
    assert page.run(ink) != light
    label = "getComputedStyle(document.querySelector('.chart svg .role-axis-label text')).fill"
    assert page.run(label) == page.run(ink)
    page.open(page_file, dark=True, media="print")
    assert page.run(ink) == light
    page.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 20_000


@chromium
def test_ten_thousand_lines(page: Page, tmp_path: Path) -> None:
    results = [result(1 + n % 97, model=f"model{n % 50}", batch=1 + n // 50) for n in range(10_000)]
    write(tmp_path / "r.jsonl", results)
    report([str(tmp_path / "r.jsonl")], Output(), str(tmp_path / "r.html"), None)
    assert (tmp_path / "r.html").stat().st_size < 15_000_000
    page.open(tmp_path / "r.html")
    assert page.console == []
    page.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.run("document.querySelectorAll('tbody tr').length") > 10_000
    page.run("window.scrollTo(0, document.body.scrollHeight)")
    assert page.run("window.scrollY") > 0


def test_pictures(tmp_path: Path) -> None:
    written = str(write(tmp_path / "r.jsonl", pair()))
    report([written], Output(), str(tmp_path / "r.svg"), None)
    svg = (tmp_path / "r.svg").read_text()
    assert svg.startswith("<svg")
    assert "var(" not in svg
    assert "Titan X" in svg
    report([written], Output(), str(tmp_path / "r.png"), None)
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_the_pictures_colours_are_the_pages() -> None:
    from importlib.resources import files

    style = (files("compiler.report.document") / "page.css").read_text()
    light = style[: style.index("@media")]
    assert dict(re.findall(r"(--\w+): (#\w+);", light)).items() >= LIGHT.items()
