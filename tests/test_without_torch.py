"""TVM is imported without PyTorch, which others may import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.command import ROOT

_SCRIPT = """
import sys
from compiler.without_torch import keep_out
keep_out()
keep_out()
assert sum(type(finder).__name__ == "_NotForTvm" for finder in sys.meta_path) == 1
import tvm
assert "torch" not in sys.modules
import torch
print(torch.LOADED)
"""


def test_tvm_does_not_import_pytorch_and_others_may(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("LOADED = 'by its user'\n")
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "by its user\n", done.stderr
