"""The texts of options as values. Everything wrong raises UsageError with one line that shows a right example."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from compiler.errors import UsageError
from compiler.precision import PRECISIONS

_MAX_DIMENSION = 2**31 - 1
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)


def batches(text: str) -> list[int]:
    """`1,48` as [1, 48]: positive whole numbers, each once."""
    return _unique(_positive(part, f"--batch {text}", "1,48") for part in text.split(","))


def precisions(text: str) -> list[str]:
    """`fp32,fp16` as a list of names, each once."""
    return choices(text, "--precision", PRECISIONS)


def choices(text: str, option: str, known: Iterable[str]) -> list[str]:
    """A comma-separated list of words that are all among `known`, each once, in the order given."""
    known = list(known)
    found = [part.strip() for part in text.split(",")]
    for part in found:
        if part not in known:
            raise UsageError(f"{option} {text}: {part!r} is none of {', '.join(known)}")
    return _unique(found)


def shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """`images:1,3,320,320` and the like as {name: shape}. A name may hold colons; the last one ends it."""
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, colon, dimensions = text.rpartition(":")
        if not colon or not name:
            raise UsageError(f"--shape {text}: give the input's name and its shape, such as --shape images:1,3,320,320")
        if name in found:
            raise UsageError(f"--shape {text}: the shape of {name} is given twice")
        found[name] = tuple(
            _positive(part, f"--shape {text}", "images:1,3,320,320") for part in dimensions.split(",") if dimensions
        )
    return found


def duration(text: str) -> float:
    """`10m`, `90s`, `1h30m` or plain seconds, as seconds above zero."""
    matched = _DURATION.fullmatch(text.strip().lower())
    hours, minutes, seconds = matched.groups() if matched else (None, None, None)
    if hours is None and minutes is None and seconds is None:
        raise UsageError(f"--time {text}: give a time such as 10m, 90s or 1h30m")
    total = float(hours or 0) * 3600 + float(minutes or 0) * 60 + float(seconds or 0)
    if not 0 < total < 10**9:
        raise UsageError(f"--time {text}: give a time above zero, such as 10m")
    return total


def figures(text: str | None, option: str) -> tuple[float, ...] | None:
    """`0.485,0.456,0.406` as floats; None stays None."""
    if text is None:
        return None
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(map(math.isfinite, found)):
        raise UsageError(f"{option} {text}: give figures such as 0.485,0.456,0.406")
    return found


def selection(text: str) -> set[int]:
    """`1,3-5` as {1, 3, 4, 5}: positive whole numbers and ranges of them."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = _positive(first, f"--tasks {text}", "1,3-5")
        high = _positive(last, f"--tasks {text}", "1,3-5") if dash else low
        if not low <= high <= 100_000:
            raise UsageError(f"--tasks {text}: {part!r} is no range of tasks; an example is 1,3-5")
        found.update(range(low, high + 1))
    return found


def _positive(text: str, where: str, example: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:12]) <= _MAX_DIMENSION or len(text) > 12:
        raise UsageError(f"{where}: {text!r} is no positive whole number; an example is {example}")
    return int(text)


def _unique(values: Iterable[int] | Iterable[str]) -> list:
    return list(dict.fromkeys(values))
