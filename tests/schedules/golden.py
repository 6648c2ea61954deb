"""Generated structures that were reviewed, kept as files."""

from __future__ import annotations

import difflib
from pathlib import Path

from tvm import s_tir


def assert_reviewed(path: Path, sch: s_tir.Schedule, update: bool) -> None:
    """The schedule's function is what `path` holds; with `update` it takes it over."""
    found = sch.mod.script(show_meta=False) + "\n"
    if update:
        path.write_text(found)
    wanted = path.read_text() if path.exists() else ""
    difference = difflib.unified_diff(wanted.splitlines(), found.splitlines(), str(path.name), "now", lineterm="", n=2)
    assert found == wanted, "\n".join(["--update-golden takes this over:", *difference][:80])
