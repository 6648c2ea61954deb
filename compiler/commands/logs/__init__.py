"""`edgetune logs`: the records of tuning, one file per command."""

from __future__ import annotations
