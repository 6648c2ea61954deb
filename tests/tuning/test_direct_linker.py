"""The linker without the compiler's driver: the same library, and the driver where it does not work."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.direct_linker import DirectLinker, _around, direct_linker
from compiler.errors import EdgetuneError
from compiler.linker import linker
from compiler.parallel.object import pool_object


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "pool-alone.o"
    path.write_bytes(pool_object(linker().command, 60.0))
    return str(path)


def test_the_library_is_the_driver_s(tmp_path: Path) -> None:
    library = [tmp_path / "direct.so", tmp_path / "driver.so"]
    for link, path in zip((direct_linker(), linker()), library, strict=True):
        link(str(path), [])
    assert library[0].read_bytes() == library[1].read_bytes()
    assert not list(tmp_path.glob("*.o"))


def test_a_driver_that_does_not_tell_is_used_itself(tmp_path: Path) -> None:
    driver = tmp_path / "driver"
    driver.write_text(f'#!/bin/sh\ncase "$*" in *-###*) exit 1;; esac\nexec {linker().command[0]} "$@"\n')
    driver.chmod(0o755)
    assert _around((str(driver),)) is None
    DirectLinker([str(driver)], linker().triple)(str(tmp_path / "x.so"), [])
    assert (tmp_path / "x.so").stat().st_size > 0


def test_what_cannot_be_linked_is_told_in_one_line(tmp_path: Path, source: str) -> None:
    with pytest.raises(EdgetuneError, match="linking twice.so") as caught:
        direct_linker()(str(tmp_path / "twice.so"), [source, str(tmp_path / "missing.o")])
    assert "\n" not in str(caught.value)
