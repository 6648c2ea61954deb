"""An agent of each kind that many tests share: surviving the others is part of what is tested."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compiler.runtime.agent.native.program import SOURCES
from compiler.runtime.rpc.connect import Connection
from targets.toolchain import linker_command
from tests.runtime.agent import agents, trouble
from tests.runtime.agent.agents import KINDS, Agent, Kind

Troubled = Callable[[Connection], object]
Parts = Callable[..., subprocess.CompletedProcess[bytes]]

_PARTS = ("channels", "cooling", "cpus", "energy", "identity", "json", "nvml", "sensors", "sha256", "text")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes a `kind` runs for each; an emulated one only where the test is marked essential."""
    if "kind" in metafunc.fixturenames:
        essential = metafunc.definition.get_closest_marker("essential") is not None
        kinds = [kind for kind in KINDS if kind.full or essential]
        metafunc.parametrize("kind", kinds, ids=[kind.name for kind in kinds], scope="session")


@pytest.fixture(scope="session")
def agent(kind: Kind) -> Iterator[Agent]:
    """A running agent without options; whoever has a session gives it back."""
    with agents.running(kind) as made:
        yield made
        assert agents.alive(made.process.pid), "the agent has not survived the tests"


@pytest.fixture(scope="session")
def trouble_library(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trouble.library(tmp_path_factory.mktemp("trouble"), kind.triple)


@pytest.fixture(scope="session")
def troubled(trouble_library: Path) -> Troubled:
    """Uploads and loads the library of bad functions into a session."""

    def load(connection: Connection) -> object:
        connection.remote.upload(str(trouble_library))
        return connection.remote.load_module(trouble_library.name)

    return load


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Runs `native_parts` with words and standard input."""
    compiler = linker_command()
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("parts")
    defines = ['-DEDGETUNE_VERSION="0"', '-DEDGETUNE_TVM_VERSION="0"', f"-I{SOURCES}"]

    def compiled(source: Path) -> str:
        made = folder / f"{source.stem}.o"
        subprocess.run([*compiler, "-std=c++17", "-w", *defines, "-c", str(source), "-o", str(made)], check=True)
        return str(made)

    sources = [Path(__file__).with_name("native_parts.cc"), *(SOURCES / f"{name}.cc" for name in _PARTS)]
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, sources))
    subprocess.run([*compiler, *objects, "-ldl", "-o", str(folder / "parts")], check=True)

    def run(*words: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([folder / "parts", *words], input=given, capture_output=True, timeout=60)

    return run
