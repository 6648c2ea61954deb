"""Figures as a person reads them."""

from __future__ import annotations


def milliseconds(seconds: float | None) -> str | None:
    """Seconds as milliseconds with three digits that mean something; None stays None."""
    return None if seconds is None else significant(seconds * 1e3)


def significant(value: float | None, digits: int = 3) -> str | None:
    """`value` with about `digits` significant digits, never in powers of ten between 0.001 and a million."""
    if value is None:
        return None
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:.{max(0, digits - whole) if abs(value) >= 1 else digits + _leading_zeros(value)}f}"


def share(value: float | None) -> str | None:
    """A share of one as a percentage; beyond the whole, tenths of a percent mean nothing."""
    return None if value is None else f"{100 * value:.{1 if value <= 1 else 0}f} %"


def count(number: int, thing: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def printable(text: str) -> str:
    """`text` with what could move a cursor or break a line shown as an escape: names come from strangers' files."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def size(count: int | None) -> str | None:
    """Bytes in the binary unit that fits, called as IEC 80000-13 does: `48 KiB`; None stays None.

    Caches, shared memory and memory are powers of two, which no other unit shows as they are, and files stand beside
    them. Rates, such as a memory's GB/s, are decimal, as their makers say them.
    """
    if count is None:
        return None
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if round(value, 1) < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def shape(dimensions: tuple[int, ...] | list[int]) -> str:
    """`1x3x224x224`, or `scalar`."""
    return "x".join(str(dimension) for dimension in dimensions) or "scalar"


def span(seconds: float) -> str:
    """A time as `1h02m`, `3m05s` or `12s`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, rest_s = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest_s:02d}s" if minutes else f"{rest_s}s"


def _leading_zeros(value: float) -> int:
    zeros, value = 0, abs(value) * 10
    while value < 1:
        zeros, value = zeros + 1, value * 10
    return zeros
