"""Packages for Jetsons on an emulated board, which has such a CPU and no GPU: the host's side is code that the board
loads, and the GPU's is refused in one line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import targets
from compiler.build import compile_model
from compiler.frontend import load
from targets import cuda_toolkit
from tests.command import edgetune_here, one_line
from tests.runtime.emulation.board import UnavailableError, emulated_agent, python_agent

pytestmark = pytest.mark.skipif(
    cuda_toolkit.why_no_toolkit("sm_87") is not None, reason="the extra [cuda] is not installed"
)

_ON_THE_BOARD = """
import ctypes, json, platform, sys
sys.modules["torch"] = None  # as for an agent: what this machine has of it is none of the board's
import tvm, tvm_ffi

from compiler.errors import EdgetuneError
from compiler.package import LIBRARY, open_package
from compiler.runtime.outputs import in_one_line
from compiler.runtime.session import LocalSession

package = open_package(sys.argv[1])
said = {"machine": platform.machine()}
with package.unpack() as folder:
    # All that the host's side wants of other libraries is there, at the versions that it wants.
    host = ctypes.CDLL(str(folder / LIBRARY), mode=2)
    said["host"] = all(hasattr(host, name) for name in ("__tvm_ffi__library_bin", "__tvm_ffi_edgetune_set_threads"))
    try:
        in_one_line("load", lambda: tvm.runtime.load_module(str(folder / LIBRARY)))
    except EdgetuneError as error:
        said["library"] = str(error)
with LocalSession(1) as session:
    try:
        session.load(package)
    except EdgetuneError as error:
        said["session"] = str(error)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def package(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "small.tar"
    edgetune_here("compile", str(small), "--target", "jetson-orin", "-o", str(path), "--zero-trial")
    return path


def test_the_hosts_side_loads_and_the_gpus_is_refused(package: Path) -> None:
    try:
        python = python_agent()[0]
    except UnavailableError as error:
        pytest.skip(f"no emulated board: {error}")
    done = subprocess.run([python, "-c", _ON_THE_BOARD, str(package)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["machine"] == "aarch64" and said["host"]
    for refusal in (said["session"], said["library"]):
        assert "\n" not in refusal and "GPU" in refusal
    assert "has no NVIDIA GPU" in said["session"]


def test_the_desk_refuses_it_for_a_board_without_a_gpu(package: Path) -> None:
    with emulated_agent("native") as (host, port):
        refused = one_line(edgetune_here("run", str(package), "--rpc", f"{host}:{port}", check=None).stderr)
    assert "NVIDIA GPU" in refused and "jetson-orin" in refused


@pytest.mark.parametrize("name", ["jetson-tx1", "jetson-xavier", "jetson-thor"])
def test_every_boards_host_code_is_for_its_cpu_and_glibc(small: Path, name: str, tmp_path: Path) -> None:
    from compiler.runtime.agent.native.elf import oldest_glibc

    target = targets.get(name)
    library = tmp_path / "library.so"
    compile_model(load(str(small)), target, library)
    assert library.read_bytes()[18:20] == b"\xb7\0"  # EM_AARCH64
    assert (oldest_glibc([library]) or "2.17") in ("2.17", "2.27")
