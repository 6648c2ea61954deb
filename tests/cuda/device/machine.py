"""A machine with an emulated GPU: stand-ins for NVIDIA's driver, runtime and management libraries, and a process that
finds them where it would find NVIDIA's.

What runs on it is the whole of edgetune but the machine code: that is compiled, checked and packed as for an H100, and
where it is loaded, the same source, compiled for the CPU, takes its place.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import cli
from targets import cuda_toolkit
from tests.cuda.emulator import COMPILER

HERE = Path(__file__).parent
ROOT = Path(cli.__file__).parent
RUNTIME = Path("runtime/libcudart.so.13")
"""Where the loader does not look, as in a folder of PyPI's packages. Where it looks lies what it cannot load, lest it
find that of a CUDA that is installed here."""


def build(folder: Path) -> None:
    """Build the stand-ins in `folder`, which is made."""
    toolkit = cuda_toolkit.toolkit_for("sm_90")
    assert toolkit is not None
    headers = [f"-I{path}" for path in toolkit.headers]
    for part in ("modules", RUNTIME.parent):
        (folder / part).mkdir(parents=True)
    (folder / RUNTIME.name).touch()
    common = ["-shared", "-fPIC", "-O1", "-w", *headers, f"-L{folder}"]
    driver, runtime, management = (folder / name for name in ("libcuda.so.1", RUNTIME, "libnvidia-ml.so.1"))
    for command in (
        [
            *("g++", "-std=c++17", *common, f"-Wl,-soname,{driver.name}"),
            *(f"-Wl,--version-script={HERE / 'driver.map'}", HERE / "driver.cc", "-o", driver, "-ldl"),
        ],
        [
            *("g++", "-std=c++17", *common, f"-Wl,-soname,{runtime.name}"),
            *(f"-Wl,--version-script={HERE / 'runtime.map'}", HERE / "runtime.cc", driver, "-o", runtime),
        ],
        ["gcc", *common, f"-Wl,-soname,{management.name}", HERE / "management.c", "-o", management],
    ):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:3000]


def environment(folder: Path, sees: bool = True) -> dict[str, str]:
    """What a process needs in its environment that is to see the GPU that was built in `folder`, or only compiles what
    another runs on it. Its caches and records lie in there too, apart from the other's."""
    inherited = os.environ.get("LD_LIBRARY_PATH", "")
    place = "machine" if sees else "desk"
    return {
        "EMULATED_GPU": str(folder),
        "EMULATED_GPU_COMPILER": shlex.join(COMPILER),
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [str(folder) if sees else "", inherited])),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
        "XDG_CACHE_HOME": str(folder / place / "cache"),
        "XDG_DATA_HOME": str(folder / place / "data"),
    }


def main() -> None:
    """python -m tests.cuda.device.machine FOLDER COMMAND ...: run a command that sees the GPU, which is built once."""
    folder = Path(sys.argv[1]).resolve()
    if not folder.exists():
        build(folder)
    os.execvpe(sys.argv[2], sys.argv[2:], {**os.environ, **environment(folder)})


if __name__ == "__main__":
    main()
