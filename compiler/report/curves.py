"""Tuning curves as a picture: the speed reached over the trials made, a line per task."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import EdgetuneError
from compiler.records.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png", ".pdf")
_BARS = 20  # tasks with a bar of their own
_NAMED = 7  # tasks whose curves have a colour and a name where there are more of them than can be told apart
_GREY = "0.75"


def draw_curves(path: Path, curves: Sequence[Curve], names: Mapping[str, str], title: str) -> None:
    """Write the picture to `path`, whose ending says what kind. `names` gives a workload's name by its hash.

    Raises EdgetuneError where matplotlib is not installed.
    """
    figure = _figure((9, 5))
    _draw_curves(figure.add_subplot(), curves, names, title)
    figure.savefig(path)


def draw_model(
    path: Path, curves: Sequence[Curve], names: Mapping[str, str], seconds: Sequence[tuple[str, float]], title: str
) -> None:
    """Write a picture of a model's tasks to `path`: their curves, and beside them each one's share of the time.

    `seconds` is the time of each task by its name, the largest first; the first of them have the colours of their
    curves. Raises EdgetuneError as `draw_curves`.
    """
    figure = _figure((14, 5))
    left, right = figure.subplots(1, 2)
    colours = {name: f"C{number}" for number, (name, _) in enumerate(seconds[:_NAMED])}
    if curves:
        _draw_curves(left, curves, names, "tuning curves", colours)
    else:
        left.set_axis_off()
        left.text(0.5, 0.5, "no tuning run is kept whole:\nno curves", ha="center", va="center")
    whole = sum(value for _, value in seconds)
    bars = [(f"{n}  {name}", value, colours.get(name, _GREY)) for n, (name, value) in enumerate(seconds[:_BARS], 1)]
    rest = seconds[_BARS:]
    if rest:
        bars.append((f"{len(rest)} more", sum(value for _, value in rest), _GREY))
    labels, values, fills = zip(*bars, strict=True) if bars else ((), (), ())
    right.barh(labels, [100 * value / whole for value in values], color=fills)
    right.invert_yaxis()
    right.tick_params(axis="y", labelsize="x-small")
    right.set(xlabel="share of the time, %", title=f"{1e3 * whole:.3g} ms in all")
    figure.suptitle(title, fontsize="medium")
    figure.savefig(path)


def _figure(inches: tuple[float, float]) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise EdgetuneError("pictures need matplotlib: pip install edgetune[report]") from None
    return Figure(figsize=inches, layout="constrained")


def _draw_curves(
    axes: Axes, curves: Sequence[Curve], names: Mapping[str, str], title: str, colours: Mapping[str, str] | None = None
) -> None:
    """The curves, each in a colour of its own; of many, only tasks in `colours` (by name, one curve each), over all
    others in grey and their median."""
    named: set[str] = set()
    many = len(curves) > 2 * _NAMED
    for curve in curves:
        name = names[curve.workload]
        points = [(n, curve.share(n)) for n in range(1, len(curve.best) + 1)]
        known = [(n, 100 * share) for n, share in points if share is not None]
        colour = (colours or {}).get(name)
        first = name not in named  # a task of several runs is named once
        shown = first and (colour is not None or not many)
        axes.step(
            *zip(*known, strict=True),
            where="post",
            linewidth=1 if shown or not many else 0.5,
            color=colour if shown or not many else _GREY,
            label=name if shown else None,
            zorder=2.5 if shown else 2,
        )
        if shown:
            named.add(name)
    if many:
        axes.step(
            *_median(curves), where="post", linewidth=2, color="black", label=f"median of {len(curves)}", zorder=3
        )
    axes.axhline(95, color="grey", linewidth=0.5, linestyle="dotted")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set(xlabel="trials of the task", ylabel="speed, % of the best that was found", title=title)
    axes.legend(fontsize="x-small", loc="lower right")


def _median(curves: Sequence[Curve]) -> tuple[list[int], list[float]]:
    """The median over curves of the speed in per cent, after 1, 2, 3, ... trials; one without a success is at 0."""
    longest = max(len(curve.best) for curve in curves)
    trials = list(range(1, longest + 1))
    return trials, [100 * statistics.median(curve.share(n) or 0.0 for curve in curves) for n in trials]
