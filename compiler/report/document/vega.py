"""Vega, which draws the charts: its scripts for a page, and pictures made here, by vl-convert."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from compiler.errors import EdgetuneError
from compiler.report.document.colours import config, painted
from compiler.report.document.parts import Chart

_VERSION = "6.4"
VEGA_LITE = "https://vega.github.io/schema/vega-lite/v6.json"
"""The name of the language, which nobody fetches."""
_WIDTH = 640


@lru_cache(maxsize=1)
def vega() -> str:
    """The scripts: `vegaEmbed`, `vega` and `vegaLite`, about 0.9 MB. Raises EdgetuneError without vl-convert."""
    return str(_converter().javascript_bundle(vl_version=_VERSION))


def to_svg(charts: Sequence[Chart]) -> str:
    """The charts under each other as one picture, on white."""
    return str(_converter().vegalite_to_svg(_stacked(charts), vl_version=_VERSION))


def to_png(charts: Sequence[Chart]) -> bytes:
    """As `to_svg`, at twice the pixels."""
    return bytes(_converter().vegalite_to_png(_stacked(charts), vl_version=_VERSION, scale=2))


def _stacked(charts: Sequence[Chart]) -> dict[str, Any]:
    parts = [{"title": chart.caption, "width": _WIDTH, **chart.spec} for chart in charts]
    settings = {**config(), "background": "white", "font": "sans-serif"}
    spec = {"$schema": VEGA_LITE, "vconcat": parts, "config": settings, "resolve": {"scale": {"color": "shared"}}}
    painted_spec: dict[str, Any] = json.loads(painted(json.dumps(spec)))
    return painted_spec


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError:
        raise EdgetuneError("reports and pictures of them need vl-convert: pip install 'edgetune[report]'") from None
    return vl_convert
