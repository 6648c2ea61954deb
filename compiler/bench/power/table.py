"""The log of an external meter: a CSV file with the columns `time` and `watts` (docs/power.md)."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from compiler.errors import EdgetuneError

_FRACTION = re.compile(r"[.,](\d+)")
_NUMBER = re.compile(r"\d+(\.\d*)?")
_MILLISECONDS_FROM = 1e11
"""Seconds since 1970 would be in the year 5138."""
_SHOWN = 60


@dataclass
class MeterLog:
    """Readings in ascending order of time: seconds since 1970, and watts."""

    times: list[float] = field(default_factory=list)
    watts: list[float] = field(default_factory=list)

    @property
    def period(self) -> float:
        """The time between two readings, the median: seconds."""
        gaps = sorted(later - earlier for earlier, later in pairwise(self.times))
        return gaps[len(gaps) // 2] if gaps else math.inf


class _Reading(NamedTuple):
    here: str
    time: float
    watts: float


def read_log(path: Path, offset: float = 0.0) -> MeterLog:
    """The readings in `path`, `offset` seconds added to their times.

    A last line without its end is still being written and is left out. Readings at the same time count as their mean.
    Raises EdgetuneError, with the number of the line, for what is no such file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EdgetuneError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    lines = text[: text.rfind("\n") + 1].splitlines()
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise EdgetuneError(f"{path}: it has no line with the columns time and watts")
    delimiter = next((one for one in ";\t" if one in lines[first]), ",")
    columns = [name.strip(' "').lower() for name in lines[first].split(delimiter)]
    if "time" not in columns or "watts" not in columns:
        raise EdgetuneError(f"{path}:{first + 1}: the first line must name the columns time and watts")
    log, same = MeterLog(), 1
    for here, time, watts in _readings(path, lines[first + 1 :], delimiter, columns, first + 1):
        moment = time + offset
        if not log.times or moment > log.times[-1]:
            log.times.append(moment)
            log.watts.append(watts)
            same = 1
        elif moment == log.times[-1]:
            same += 1
            log.watts[-1] += (watts - log.watts[-1]) / same
        else:
            raise EdgetuneError(f"{here}: its time is before that of the line above")
    return log


def parse_time(text: str) -> float:
    """Seconds since 1970 of a time in ISO 8601, or of such a number, or of one in milliseconds.

    A time without an offset is this machine's local time. Raises ValueError.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        value = float(text)
        return value / 1e3 if value >= _MILLISECONDS_FROM else value
    # Of all that ISO 8601 allows, Python before 3.11 reads only fractions of 3 and 6 digits, and no Z.
    text = _FRACTION.sub(lambda found: f".{found[1][:6]:0<6}", text, count=1)
    if text[-1:] in ("Z", "z"):
        text = f"{text[:-1]}+00:00"
    elif re.search(r":.*[+-]\d{4}$", text):
        text = f"{text[:-2]}:{text[-2:]}"
    return datetime.fromisoformat(text).timestamp()


def shown_time(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _readings(path: Path, lines: list[str], delimiter: str, columns: list[str], before: int) -> Iterator[_Reading]:
    at_time, at_watts = columns.index("time"), columns.index("watts")
    rows = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise EdgetuneError(f"{path}:{before + rows.line_num}: {error}") from None
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        here = f"{path}:{before + rows.line_num}"
        try:
            time, watts = parse_time(row[at_time]), float(row[at_watts].replace(",", "."))
        except (ValueError, IndexError, OverflowError):
            raise EdgetuneError(f"{here}: this is no line with a time and watts: {_shown(row)}") from None
        if not math.isfinite(watts) or watts < 0:
            raise EdgetuneError(f"{here}: {row[at_watts].strip()} is no power in watts")
        yield _Reading(here, time, watts)


def _shown(row: list[str]) -> str:
    text = " ".join(",".join(row).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
