"""What is refused before any work is done, so that nothing is lost: files of others, places, counts, contradictions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest

import cli
from compiler.errors import EdgetuneError, UsageError
from compiler.package import BEGINS, write
from compiler.places import make_folder, must_append, must_replace
from compiler.tensors import TensorSpec
from tests.runtime import small


@pytest.fixture()
def model(tmp_path: Path) -> Path:
    path = tmp_path / "own.onnx"
    onnx.save(small.onnx_model(), path)
    return path


@pytest.fixture()
def package(tmp_path: Path) -> Path:
    """A package of the right form whose library is none: what is refused is refused before it is loaded."""
    return write(tmp_path / "small.tar", {"library.so": b"\x7fELF"}, small.manifest()).path


def refused(code: int, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line with which the command was refused; nothing else was said, so nothing was begun."""
    assert cli.main([str(argument) for argument in arguments]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("error: ")
    return line


# ---- files of others


def test_a_package_overwrites_packages_alone(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = tmp_path / "ok.npz"
    np.savez(arrays, a=np.zeros(3))
    link = tmp_path / "link.tar"
    link.symlink_to(model)
    for path, words in ((model, "is read"), (link, "is read"), (arrays, "no package"), (Path("/dev/null"), "no pack")):
        before = path.read_bytes()
        assert words in refused(2, capsys, "compile", model, "-o", path)
        assert path.read_bytes() == before
    earlier = write(tmp_path / "earlier.tar", {"library.so": b"x"}, small.manifest()).path
    must_replace(earlier, "-o", kind="package", begins=BEGINS)
    (tmp_path / "empty.tar").touch()
    must_replace(tmp_path / "empty.tar", "-o", kind="package", begins=BEGINS)


def test_outputs_overwrite_neither_package_nor_inputs(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, notes = tmp_path / "x.npz", tmp_path / "notes.txt"
    np.savez(inputs, **small.inputs())
    notes.write_text("mine")
    for path in (package, inputs, notes):
        before = path.read_bytes()
        refused(2, capsys, "run", package, "--inputs", inputs, "--outputs", path)
        assert path.read_bytes() == before


def test_json_lines_go_to_files_of_json_lines_alone(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = model.read_bytes()
    assert "no JSON lines" in refused(2, capsys, "compile", model, "--json", model)
    assert model.read_bytes() == before


# ---- places


def test_places_that_take_no_file_are_refused_at_once(
    model: Path, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no folder" in refused(1, capsys, "tune", model, "--json", "/nonexist/x.json")
    assert "is a folder" in refused(1, capsys, "tune", model, "--json", tmp_path)
    assert "is a folder" in refused(1, capsys, "compile", model, "-o", tmp_path)
    assert "no folder" in refused(1, capsys, "run", package, "--outputs", "/nonexist/y.npz")
    assert "too long" in refused(1, capsys, "compile", model, "-o", tmp_path / ("x" * 240))
    if os.access("/proc", os.W_OK):  # root, to whom permissions say yes where nothing can be made
        assert "no file can be made" in refused(1, capsys, "compile", model, "-o", "/proc/a.tar")
    for command in ("tune", "compile"):
        assert "--dump /proc/xx" in refused(1, capsys, command, model, "--dump", "/proc/xx")


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    must_append(tmp_path / "x.jsonl", "--json")
    must_replace(tmp_path / "x.tar", "-o", kind="package", begins=BEGINS)
    assert list(tmp_path.iterdir()) == []
    make_folder(tmp_path / "a" / "b", "--dump")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(EdgetuneError, match="--dump"):
        make_folder(tmp_path / "file", "--dump")
    with pytest.raises(UsageError, match="no JSON lines"):
        must_append(tmp_path / "file", "--json")


# ---- what is not there


def test_what_does_not_exist_is_wrong_use(package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("tune", "compile", "bench", "inspect"):
        assert "no file" in refused(2, capsys, command, tmp_path / "missing.onnx")
    for command in ("run", "verify", "bench", "inspect"):
        assert "no package" in refused(2, capsys, command, tmp_path / "missing.tar")
    assert "no such file" in refused(2, capsys, "run", package, "--inputs", tmp_path / "missing.npz")
    assert "no such file" in refused(2, capsys, "logs", "import", tmp_path / "missing.jsonl", "--logs", tmp_path)


def test_a_model_where_a_package_belongs(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "verify"):
        assert f"`edgetune compile {model}`" in refused(2, capsys, command, model)
        assert "`edgetune compile alexnet`" in refused(2, capsys, command, "alexnet")


def test_a_package_where_a_model_belongs(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("tune", "compile"):
        assert "is a package" in refused(2, capsys, command, package)


# ---- counts and contradictions


@pytest.mark.parametrize("command", ["tune", "compile", "bench"])
def test_more_threads_than_cpus(command: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "4096 threads" in refused(2, capsys, command, model, "--threads", 4096)


def test_more_threads_than_cpus_for_a_package(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "verify", "bench"):
        assert "4096 threads" in refused(2, capsys, command, package, "--threads", 4096)


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf"])
def test_times_that_are_no_numbers(seconds: str, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(2, capsys, "bench", package, f"--seconds={seconds}")


@pytest.mark.parametrize(
    "option",
    ["--batch=4", "--precision=fp32", "--target=native", "--shape=x:1,3,8,8", "--logs=x", "--io-precision=fp16"],
)
def test_a_package_has_had_its_say(option: str, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert option.partition("=")[0] in refused(2, capsys, "bench", package, option)


def test_a_package_has_its_shapes(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--batch=4", "--shape=x:1,3,8,8"):
        assert "shapes are fixed" in refused(2, capsys, "inspect", package, option)


def test_a_name_that_no_package_can_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a\nb.onnx"
    onnx.save(small.onnx_model(), path)
    assert "rename" in refused(2, capsys, "compile", path)


def test_tensors_that_do_not_fit_into_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = [TensorSpec(f"x{index}", (2**34,), "float32") for index in range(64)]
    path = write(tmp_path / "huge.tar", {"library.so": b"\x7fELF"}, small.manifest(inputs=inputs)).path
    for command in ("run", "verify"):
        assert "take 4 TiB" in refused(1, capsys, command, path)


def test_no_records_and_these_records_contradict_each_other(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("compile", "bench"):
        assert "--zero-trial" in refused(2, capsys, command, model, "--zero-trial", "--logs", tmp_path)
