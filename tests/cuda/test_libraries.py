"""Libraries that were compiled before are taken from the cache where nothing has changed, and only there."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

import targets
from compiler.build import Built, compile_model
from compiler.cuda import identity, libraries
from compiler.frontend import Model, load
from compiler.package import open_package
from targets import cuda_toolkit
from tests.command import edgetune

pytestmark = pytest.mark.skipif(
    any(cuda_toolkit.why_no_toolkit(arch) for arch in ("sm_53", "sm_90")), reason="the extra [cuda] is not installed"
)
ORIN = targets.get("jetson-orin")

Compile = Callable[..., Built]


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compile:
    """Compiles with a cache of this test alone; sources are taken for old, whoever edits them meanwhile."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(identity, "_began", time.time)
    numbers = iter(range(100))

    def run(model: Model, target: targets.Target = ORIN, **options: Any) -> Built:
        return compile_model(model, target, tmp_path / f"{next(numbers)}.so", reuse=True, **options)

    return run


def test_nothing_is_compiled_twice(small: Path, compiled: Compile) -> None:
    first, again = compiled(load(str(small))), compiled(load(str(small)))
    assert not first.reused and again.reused
    assert again.library.read_bytes() == first.library.read_bytes()
    for name in (
        field.name for field in dataclasses.fields(Built) if field.name not in ("library", "reused", "seconds")
    ):
        assert getattr(again, name) == getattr(first, name), name


def test_what_makes_a_difference_is_compiled_anew(small: Path, compiled: Compile, tmp_path: Path) -> None:
    model = load(str(small))
    compiled(model)
    other = onnx.load(small)
    values = numpy_helper.to_array(other.graph.initializer[0]).copy()
    values.flat[0] += 1
    other.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, other.graph.initializer[0].name))
    onnx.save(other, tmp_path / "small.onnx")
    assert not compiled(load(str(tmp_path / "small.onnx"))).reused
    assert not compiled(load(str(small), batch=2)).reused
    assert not compiled(model, precision="fp16").reused
    assert not compiled(model, io_precision="fp16").reused
    assert not compiled(model, cuda_graph=False).reused
    assert not compiled(model, targets.get("jetson-orin-nano")).reused
    assert compiled(model).reused


def test_the_key_covers_sources_and_programs(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(str(small))
    monkeypatch.setattr(identity, "_began", time.time)
    usual = identity.parts_of(model, ORIN, [])
    assert usual is not None and usual == identity.parts_of(model, ORIN, [])
    for name, value in (
        ("_content_hash", lambda paths: "another"),
        ("_version", lambda package: "0.0"),
        ("_state", lambda path: f"{path} changed"),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(identity, name, value)
            assert identity.parts_of(model, ORIN, []) != usual, name


def test_sources_that_changed_under_the_process_are_not_trusted(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_began", lambda: 0.0)
    assert identity.parts_of(load(str(small)), ORIN, []) is None


def test_every_source_file_counts() -> None:
    names = {str(path.relative_to(identity._ROOT)) for path, _ in identity._source_state()}
    assert {"compiler/build.py", "schedules/cuda/gemm.py", "targets/jetson.py", "compiler/parallel/pool.c"} <= names


def test_a_damaged_library_is_compiled_anew(small: Path, compiled: Compile, tmp_path: Path) -> None:
    first = compiled(load(str(small)))
    [kept] = (tmp_path / "cache" / "edgetune" / "cuda" / "libraries").iterdir()
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    again = compiled(load(str(small)))
    assert not again.reused and again.library.read_bytes() == first.library.read_bytes()
    assert compiled(load(str(small))).reused


def test_records_of_a_gpu_are_asked_every_time(small: Path, compiled: Compile) -> None:
    class Knows:
        def __init__(self, *fingerprints: str) -> None:
            self._fingerprints = dict.fromkeys(fingerprints, 1)

        def fingerprints(self) -> dict[str, int]:
            return self._fingerprints

    from compiler.build import _library_key

    def key(*fingerprints: str) -> str | None:
        return _library_key(load(str(small)), ORIN, "fp32", "fp32", Knows(*fingerprints), True)  # type: ignore[arg-type]

    assert key() is not None and key() == key("x86-avx2-some-cpu-2c-tvm0.27-1")
    assert key("jetson-orin-orin-16c-tvm0.26-2") is None


def test_a_cache_that_cannot_be_written_costs_time_only(
    small: Path, compiled: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "folder"))
    assert not compiled(load(str(small))).reused


def test_facts_of_another_form_are_none(tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    library.write_bytes(b"code")
    libraries._files(tmp_path / "cache").write("key", [b"\x05\0\0\0\0\0\0\0{}abc"])
    assert libraries.known("key", library, tmp_path / "cache") is None
    assert library.read_bytes() == b"code"


def test_the_command(small: Path, tmp_path: Path) -> None:
    newest = max(changed for _, changed in identity._source_state())
    if time.time() - newest < 10:
        pytest.skip("somebody is editing the source files")
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_DATA_HOME": str(tmp_path / "data")}
    packages = [tmp_path / f"{number}.tar" for number in range(3)]
    words = ["compile", str(small), "--target", "jetson-orin", "-o"]
    said = [edgetune(*words, str(path), **environment).stderr for path in packages[:2]]
    said.append(edgetune(*words, str(packages[2]), "--no-cache", "--no-cuda-graph", **environment).stderr)
    assert ["from the cache" in text for text in said] == [False, True, False]
    first, again, plain = (open_package(path) for path in packages)
    assert first.checksums["library.so"] == again.checksums["library.so"] != plain.checksums["library.so"]
    assert (first.manifest.cuda_graph, again.manifest.cuda_graph, plain.manifest.cuda_graph) == (True, True, False)
    assert list((tmp_path / "cache" / "edgetune" / "cuda" / "libraries").iterdir())
