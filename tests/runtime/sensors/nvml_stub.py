"""A library with NVML's symbols, for tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from targets.toolchain import linker_command

NAME = "libnvidia-ml.so.1"


def build(folder: Path, gpus: int = 2) -> Path:
    """The library in `folder`, under the name by which it is looked for; skips without a compiler."""
    compiler = linker_command()
    if compiler is None:
        pytest.skip("no C compiler")
    made = folder / NAME
    source = Path(__file__).with_name("nvml_stub.c")
    options = ["-x", "c", f"-DGPUS={gpus}", str(source), "-shared", "-fPIC", f"-Wl,-soname,{NAME}", "-w"]
    subprocess.run([*compiler, *options, "-o", str(made)], check=True)
    return made
