"""Tuning curves as a picture: the speed reached over the trials made, a line per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from compiler.errors import EdgetuneError
from compiler.records.curves import Curve

FORMATS = (".svg", ".png", ".pdf")


def draw_curves(path: Path, curves: Sequence[Curve], names: Mapping[str, str], title: str) -> None:
    """Write the picture to `path`, whose ending says what kind. `names` gives a workload's name by its hash.

    Raises EdgetuneError where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise EdgetuneError("pictures need matplotlib: pip install edgetune[report]") from None
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
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
    figure.savefig(path)
