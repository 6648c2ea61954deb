"""The power mode of a Jetson: the service nvpmodel keeps it in files, so its program need not be started."""

from __future__ import annotations

import re
from pathlib import Path

from compiler.runtime.sensors.files import read_text

_STATUS = re.compile(r"pmode:\s*0*(\d+)")
_MODEL = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>")


def power_mode(root: Path = Path("/")) -> str | None:
    """The name of the mode that is set (`MAXN`, `15W`), its number where it has no name, None where there are none."""
    status = _STATUS.search(read_text(root / "var/lib/nvpmodel/status") or "")
    if status is None:
        return None
    names = dict(_MODEL.findall(read_text(root / "etc/nvpmodel.conf") or ""))
    return names.get(status[1], status[1])
