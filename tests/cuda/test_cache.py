"""Kernels that were compiled before are found again, and what goes wrong with their files costs time only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compiler.cuda import cache
from compiler.cuda.source import BOUNDS, lean
from targets import cuda_toolkit

CODE = b"\x7fELF code"


def test_what_was_made_of_the_same_parts_is_made_once(tmp_path: Path) -> None:
    made: list[str] = []

    def make() -> bytes:
        made.append("once")
        return CODE

    for _ in range(2):
        assert cache.cached(["source", "sm_87"], make, tmp_path) == CODE
    assert len(made) == 1
    cache.cached(["source", "sm_90"], make, tmp_path)
    cache.cached(["sourcesm_", "90"], make, tmp_path)
    assert len(made) == 3


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    cache.cached(["a"], lambda: CODE, tmp_path)
    [path] = tmp_path.iterdir()
    path.write_bytes(b"")
    assert cache.cached(["a"], lambda: CODE + b"2", tmp_path) == CODE + b"2"


def test_a_folder_that_cannot_be_made_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert cache.cached(["a"], lambda: CODE, tmp_path / "file" / "folder") == CODE


def test_the_least_recently_used_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 2 * (len(CODE) + 32))  # and a digest each
    for index, name in enumerate("ab"):
        cache.cached([name], lambda: CODE, tmp_path)
        for path in tmp_path.iterdir():
            if path.stat().st_mtime > 1000:
                os.utime(path, (index + 1, index + 1))
    cache.cached(["a"], lambda: b"never", tmp_path)  # used again
    cache.cached(["c"], lambda: CODE, tmp_path)
    assert cache.cached(["a"], lambda: b"gone", tmp_path) == CODE
    assert cache.cached(["b"], lambda: b"\x7fELF gone", tmp_path) == b"\x7fELF gone"


def test_headers_are_left_out_with_all_that_is_nested_in_them() -> None:
    source = '#ifdef __CUDACC_RTC__\n#ifndef A\nx\n#endif\n#else\ny\n#endif\nkept\nextern "C" __global__ void k() {}'
    text = lean(source)
    assert "kept" in text and "\nx\n" not in text and "\ny\n" not in text
    assert text.index(BOUNDS) < text.index("__global__")


@pytest.mark.parametrize(
    ("arch", "generation"), [("sm_53", 12), ("sm_72", 12), ("sm_75", 13), ("sm_87", 12), ("sm_90", 13), ("sm_110", 13)]
)
def test_generations(arch: str, generation: int) -> None:
    assert cuda_toolkit.generation_for(arch) == generation


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_toolkit, "_find", lambda name: None)
    monkeypatch.setattr(cuda_toolkit, "_roots", lambda generation: iter(()))
    assert "pip install edgetune[cuda]" in (cuda_toolkit.why_no_toolkit("sm_87") or "")
