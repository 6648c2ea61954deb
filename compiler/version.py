"""Which edgetune this is, as packages and records say it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def tool_version() -> str:
    """The installed version, or `0+unknown` in a checkout that was never installed."""
    try:
        return version("edgetune")
    except PackageNotFoundError:
        return "0+unknown"
