"""Reading the small files of /sys and /proc: one that is missing, or that its driver refuses to read, is None."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str | None:
    """The text of `path` without surrounding white space and NULs; None where it cannot be read, or is empty."""
    try:
        return path.read_text(errors="replace").strip(" \t\r\n\0") or None
    except OSError:  # a sensor that is powered off answers EAGAIN, EIO or ENODATA
        return None


def read_int(path: Path) -> int | None:
    """The integer in `path`, decimal or with its prefix; None where there is none."""
    text = read_text(path)
    try:
        return int(text, 0) if text is not None else None
    except ValueError:
        return None


def folders(parent: Path, pattern: str) -> list[Path]:
    """What matches `pattern` in `parent`, in the order of the numbers in the names; empty where nothing can be read."""
    try:
        return sorted(parent.glob(pattern), key=lambda path: (len(path.name), path.name))
    except OSError:
        return []


def add(readings: dict[str, float], name: str, value: float) -> None:
    """Put `value` into `readings`; where the name is taken, under the first free one of `name-2`, `name-3`, ..."""
    unique, number = name, 1
    while unique in readings:
        number += 1
        unique = f"{name}-{number}"
    readings[unique] = value
