"""Inputs: random ones are valid and repeatable; a user's file is checked before it is used."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from compiler.errors import EdgetuneError, UsageError
from compiler.frontend import load_inputs, random_inputs
from compiler.tensors import TensorSpec

SPECS = [TensorSpec("x/1", (2, 3), "float32"), TensorSpec("ids", (4,), "int64")]
GOOD = {"x/1": np.ones((2, 3), np.float32), "ids": np.arange(4)}


def test_random_inputs() -> None:
    specs = [
        TensorSpec("image", (1, 3, 64, 64), "float32"),
        TensorSpec("half", (1000,), "float16"),
        TensorSpec("bytes", (1, 64, 64, 3), "uint8"),
        TensorSpec("ids", (1, 64), "int64"),
        TensorSpec("mask", (1, 64), "bool"),
        TensorSpec("scalar", (), "float32"),
    ]
    found = random_inputs(specs, 7)
    for spec in specs:
        assert found[spec.name].shape == spec.shape and found[spec.name].dtype == spec.dtype
    assert abs(found["image"].std() - 1) < 0.05 and abs(found["image"].mean()) < 0.05
    assert found["bytes"].max() > 200 and set(found["ids"].ravel()) == {0, 1}
    again, other = random_inputs(specs[:1], 7), random_inputs(specs, 8)
    assert np.array_equal(again["image"], found["image"]) and not np.array_equal(other["image"], found["image"])
    assert not np.array_equal(found["half"][:64], found["image"].ravel()[:64].astype(np.float16))


def test_a_file_that_fits(tmp_path: Path) -> None:
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "in.npz", **GOOD)
        found = load_inputs(tmp_path / "in.npz", SPECS)
        assert list(found) == ["x/1", "ids"] and all(np.array_equal(found[name], GOOD[name]) for name in GOOD)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"z": np.ones(1)}, "unknown input 'z'; the model's inputs are 'x/1', 'ids'"),
        ({"ids": None}, "no array for input 'ids'"),
        ({"ids": np.arange(5)}, "'ids' has shape (5,); the model takes (4,)"),
        ({"ids": np.arange(4, dtype=np.int32)}, "'ids' is int32; the model takes int64"),
        ({"x/1": np.ones((2, 3))}, "'x/1' is float64; the model takes float32"),
        ({"x/1": np.array([[{}] * 3] * 2, dtype=object)}, "'x/1' is object"),
    ],
)
def test_a_file_that_does_not_fit(change: dict, words: str, tmp_path: Path) -> None:
    arrays = {name: array for name, array in {**GOOD, **change}.items() if array is not None}
    np.savez(tmp_path / "in.npz", **arrays)
    with pytest.raises(UsageError) as caught:
        load_inputs(tmp_path / "in.npz", SPECS)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_for_a_model_without_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.ones(1))
    with pytest.raises(UsageError, match="unknown input 'x'; the model's inputs are none"):
        load_inputs(tmp_path / "in.npz", [])


def damaged() -> dict[str, bytes]:
    buffer = io.BytesIO()
    np.savez(buffer, **GOOD)
    whole = buffer.getvalue()
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2, 3)})
        archive.writestr("x/1.npy", header.getvalue() + bytes(8))  # fewer values than the header says
        archive.writestr("ids.npy", b"no numpy")
    plain = io.BytesIO()
    np.save(plain, GOOD["ids"])
    flipped = bytearray(whole)
    flipped[60] ^= 255
    return {
        "empty": b"",
        "cut": whole[:-30],
        "text": b"hello",
        "short": bomb.getvalue(),
        "npy": plain.getvalue(),
        "flip": bytes(flipped),
    }


@pytest.mark.parametrize("name", damaged())
def test_damaged_files(name: str, tmp_path: Path) -> None:
    (tmp_path / "in.npz").write_bytes(damaged()[name])
    with pytest.raises(EdgetuneError) as caught:
        load_inputs(tmp_path / "in.npz", SPECS)
    assert "in.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.npz"):
        with pytest.raises(EdgetuneError, match="cannot read"):
            load_inputs(path, SPECS)
