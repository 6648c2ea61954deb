"""Packages for Jetsons on an emulated board, which has such a CPU and no GPU: the host's side is code that the board
loads, and the GPU's is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

import targets
from compiler.build import compile_model
from compiler.frontend import load
from targets import cuda_toolkit
from tests.command import edgetune_here, one_line
from tests.cuda.host_side import looking
from tests.runtime.emulation.board import UnavailableError, emulated_agent

pytestmark = pytest.mark.skipif(
    any(cuda_toolkit.why_no_toolkit(arch) for arch in ("sm_53", "sm_87")), reason="the extra [cuda] is not installed"
)

BOARDS = [("jetson-orin", "fp32"), ("jetson-orin", "fp16"), ("jetson-tx1", "fp32"), ("jetson-tx1", "fp16")]


@pytest.fixture(scope="module")
def packages(small: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One for each of `BOARDS`."""
    folder = tmp_path_factory.mktemp("package")
    made = [folder / f"{target}-{precision}.tar" for target, precision in BOARDS]
    for path, (target, precision) in zip(made, BOARDS, strict=True):
        chosen = ["--target", target, "--precision", precision, "--zero-trial"]
        edgetune_here("compile", str(small), *chosen, "-o", str(path))
    return made


def test_the_hosts_side_loads_and_the_gpus_is_refused(packages: list[Path]) -> None:
    try:
        with looking() as board:
            for path, (target, precision) in zip(packages, BOARDS, strict=True):
                look = board.look(path)
                assert not look.problems(target), f"{target} {precision}: {look}"
                assert "has no NVIDIA GPU" in str(look.session)
    except UnavailableError as error:
        pytest.skip(f"no emulated board: {error}")


def test_the_desk_refuses_it_for_a_board_without_a_gpu(packages: list[Path]) -> None:
    with emulated_agent("native") as (host, port):
        refused = one_line(edgetune_here("run", str(packages[0]), "--rpc", f"{host}:{port}", check=None).stderr)
    assert "NVIDIA GPU" in refused and "jetson-orin" in refused


@pytest.mark.parametrize("name", ["jetson-tx1", "jetson-xavier", "jetson-thor"])
def test_every_boards_host_code_is_for_its_cpu_and_glibc(small: Path, name: str, tmp_path: Path) -> None:
    from compiler.runtime.agent.native.elf import oldest_glibc

    target = targets.get(name)
    library = tmp_path / "library.so"
    compile_model(load(str(small)), target, library)
    assert library.read_bytes()[18:20] == b"\xb7\0"  # EM_AARCH64
    assert (oldest_glibc([library]) or "2.17") in ("2.17", "2.27")
