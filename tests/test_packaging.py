"""What an installed edgetune consists of: a wheel has all code and the shipped records, and no tests."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cli

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(cli.__file__).parent
CODE = ("compiler", "schedules", "targets")


@pytest.mark.slow
def test_a_wheel_has_the_code_and_the_shipped_records(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("cli.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "README.md").write_text("edgetune\n")
    for name in (*CODE, "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    # A fingerprint holds dots and dashes, which no Python package may.
    log = "tuning_logs/x86-znver4-some-cpu-2c-tvm0.27.0.post1-0a1b2c3d/0123456789abcdef.jsonl"
    (source / log).parent.mkdir(parents=True)
    (source / log).write_text("{}\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        source,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        assert "edgetune = cli:main" in archive.read(entry_points).decode()
    expected = {str(path.relative_to(source)) for name in CODE for path in (source / name).rglob("*.py")}
    agent = source / "compiler" / "runtime" / "agent" / "native"
    expected |= {str(path.relative_to(source)) for path in agent.iterdir() if path.suffix in (".cc", ".h", ".map")}
    assert not expected - names
    assert log in names
    assert "cli.py" in names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_lock_pins_everything_that_pyproject_asks_for() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.strip().startswith("#")]
    assert pins
    for pin in pins:
        assert [one.operator for one in pin.specifier] == ["=="], f"{pin} is no exact pin"
    assert not [line for line in lines if "://" in line], "the lock names a place to download from"
    extras = re.findall(r"--extra (\w+)", (ROOT / "Makefile").read_text().partition("-o requirements.lock")[0])
    assert {"cuda", "peers", "cluster", "dev"} <= set(extras)
    wanted = [*project["dependencies"], *(text for name in extras for text in project["optional-dependencies"][name])]
    for asked in map(Requirement, wanted):
        if asked.name == "edgetune":  # an extra that brings another one
            continue
        found = [pin for pin in pins if canonicalize_name(pin.name) == canonicalize_name(asked.name)]
        assert found, f"{asked} is not in requirements.lock: make lock"
        for pin in found:
            (exact,) = pin.specifier
            assert asked.specifier.contains(exact.version), f"requirements.lock has {pin}, pyproject.toml wants {asked}"


def test_tvm_ffi_stays_below_the_version_that_crashes() -> None:
    from importlib.metadata import version

    from packaging.version import Version

    assert Version("0.1.14") <= Version(version("apache-tvm-ffi")) < Version("0.1.15.dev0")


def test_ci_runs_exactly_make_test() -> None:
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[-1] == "exec make test"
    # What comes before only installs what some tests are skipped without, and may fail.
    assert lines[-2] == "fi" and lines[-3].endswith("|| true") and lines[-4].startswith("if ")
    assert all(line.startswith(("set ", "cd ", "packages=", "command -v ")) for line in lines[:-4])
