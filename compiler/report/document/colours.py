"""Colours by name: a page gives them values for light and dark (page.css), a picture the light ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

LIGHT = {
    "--c1": "#0b6bcb",
    "--c2": "#d9730d",
    "--c3": "#1a8754",
    "--c4": "#c2255c",
    "--c5": "#7048e8",
    "--c6": "#0c8599",
    "--muted": "#6b7280",
    "--ink": "#1c2330",
    "--line": "#dfe3ea",
}
"""As in page.css."""

_ENGINES = ("edgetune", "onnxruntime", "openvino", "torch", "tensorrt")


def engine_scale(names: Iterable[str]) -> dict[str, Any]:
    """The colours of engines: the same engine has the same colour in every chart."""
    known = set(names)
    ordered = [*(name for name in _ENGINES if name in known), *sorted(known - set(_ENGINES))]
    place = {name: number for number, name in enumerate(_ENGINES, 1)}
    return {"domain": ordered, "range": [f"var(--c{place.get(name, 6)})" for name in ordered]}


def config() -> dict[str, Any]:
    """Vega's settings for all charts."""
    text = {"labelColor": "var(--ink)", "titleColor": "var(--muted)", "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": "transparent",
        "font": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif",
        "view": {"stroke": None},
        "axis": {
            **text,
            "titleFontWeight": "normal",
            "gridColor": "var(--line)",
            "domainColor": "var(--muted)",
            "tickColor": "var(--muted)",
        },
        "axisX": {"labelOverlap": "greedy", "labelFlush": False},
        "axisY": {"labelLimit": 300},
        "axisYNominal": {"grid": True, "ticks": False, "domain": False, "labelPadding": 8},
        "legend": {**text, "orient": "top", "symbolOpacity": 1, "titleFontWeight": "normal"},
        "title": {"color": "var(--ink)", "fontSize": 13, "anchor": "start"},
        "mark": {"color": "var(--c1)", "tooltip": True},
    }


def painted(text: str) -> str:
    """`text` with the names of colours replaced by their light values, for a picture."""
    for name, value in LIGHT.items():
        text = text.replace(f"var({name})", value)
    return text
