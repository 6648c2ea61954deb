"""A thousand mutated packages: each is refused in one line, or is the package that it was."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler.errors import EdgetuneError
from compiler.package import Package, open_package, write
from compiler.packaging import archive
from compiler.packaging.manifest import decode, encode
from tests.runtime.small import manifest

edits = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 1 << 16), st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("cut"), st.integers(0, 1 << 16), st.just(b"")),
        st.tuples(st.just("insert"), st.integers(0, 1 << 16), st.binary(min_size=1, max_size=600)),
        st.tuples(st.just("delete"), st.integers(0, 1 << 16), st.binary(min_size=1, max_size=600)),
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Package]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        yield write(tmp_path_factory.mktemp("fuzz") / "model.tar", {"library.so": b"\x7fELF" * 999}, manifest())


def mutate(data: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for kind, position, content in changes:
        at = position % (len(data) + 1)
        if kind == "set":
            data = data[:at] + content + data[at + len(content) :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "insert":
            data = data[:at] + content + data[at:]
        else:
            data = data[:at] + data[at + len(content) :]
    return data


@settings(max_examples=1000, deadline=2000, database=None, suppress_health_check=list(HealthCheck))
@given(changes=edits)
def test_mutated_packages(packed: Package, changes: list[tuple[str, int, bytes]]) -> None:
    original = packed.path.read_bytes()
    mutated = mutate(original, changes)
    folder = packed.path.parent
    path = folder / "mutated.tar"
    path.write_bytes(mutated)
    around = sorted(folder.iterdir())
    if mutated == original:
        assert open_package(path).manifest == packed.manifest
    else:
        with pytest.raises(EdgetuneError) as error:
            open_package(path)
        assert "\n" not in str(error.value)
    assert sorted(folder.iterdir()) == around
    assert not any(Path(tempfile.gettempdir()).iterdir())


@settings(max_examples=300, deadline=2000, database=None)
@given(changes=edits)
def test_mutated_manifests(changes: list[tuple[str, int, bytes]]) -> None:
    """A manifest with a right checksum around wrong content: decoded to something that encodes again, or refused."""
    data = mutate(encode(manifest()), changes)
    try:
        decoded = decode(data)
    except EdgetuneError as error:
        assert "\n" not in str(error)
    else:
        assert decode(encode(decoded)) == decoded


@settings(max_examples=300, deadline=2000, database=None)
@given(data=st.binary(max_size=3000))
def test_garbage_after_a_valid_header(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = Path(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp())) / "x.tar"
    path.write_bytes(archive.header("library.so", len(data)) + data)
    with pytest.raises(EdgetuneError):
        open_package(path)
