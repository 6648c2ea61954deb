"""Published figures that a report is drawn beside; README.md says where they come from, and what an empty one means."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

YEAR = 2015


@dataclass(frozen=True)
class Published:
    """One published point. None is what no source gives; `bound` is `>` or `<` where it gives only a bound."""

    device: str
    model: str
    precision: str
    batch: int
    images_per_s: float | None
    bound: str
    watts: float | None
    images_per_s_per_w: float | None
    source: str
    status: str


@lru_cache(maxsize=1)
def published() -> tuple[Published, ...]:
    """All points, in the file's order."""
    text = (files(__name__) / "inference-2015.csv").read_text(encoding="utf-8")
    return tuple(_point(row) for row in csv.DictReader(text.splitlines()))


def _point(row: dict[str, str]) -> Published:
    speed = row["images_per_s"]
    return Published(
        device=row["device"],
        model=row["network"],
        precision=row["precision"],
        batch=int(row["batch"]),
        images_per_s=_number(speed.lstrip("<>")),
        bound=speed[:1] if speed[:1] in ("<", ">") else "",
        watts=_number(row["watts"]),
        images_per_s_per_w=_number(row["images_per_s_per_w"]),
        source=row["source"],
        status=row["status"],
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
