"""Tuning curves as a picture: the speed reached over the trials made, a line per task."""

from __future__ import annotations

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

    `seconds` is the time of each task by its name, the largest first. Raises EdgetuneError as `draw_curves`.
    """
    figure = _figure((14, 5))
    left, right = figure.subplots(1, 2)
    if curves:
        _draw_curves(left, curves, names, "tuning curves")
    else:
        left.set_axis_off()
        left.text(0.5, 0.5, "no tuning run is kept whole:\nno curves", ha="center", va="center")
    whole = sum(value for _, value in seconds)
    shown = list(seconds[:_BARS])
    rest = whole - sum(value for _, value in shown)
    if rest > 0:
        shown.append((f"{len(seconds) - _BARS} more", rest))
    right.barh([f"{n}  {name}" for n, (name, _) in enumerate(shown, 1)], [100 * value / whole for _, value in shown])
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


def _draw_curves(axes: Axes, curves: Sequence[Curve], names: Mapping[str, str], title: str) -> None:
    for curve in curves:
        points = [(n, curve.share(n)) for n in range(1, len(curve.best) + 1)]
        known = [(n, 100 * share) for n, share in points if share is not None]
        axes.step(*zip(*known, strict=True), where="post", linewidth=1, label=names[curve.workload])
    axes.axhline(95, color="grey", linewidth=0.5, linestyle="dotted")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set(xlabel="trials of the task", ylabel="speed, % of the best that was found", title=title)
    if len(curves) <= 20:
        axes.legend(fontsize="x-small", loc="lower right")
