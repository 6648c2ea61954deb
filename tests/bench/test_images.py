"""Images are prepared as torchvision does it: held against what torchvision made (data/record_torchvision.py)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from compiler.bench.dataset import ImageOptions, open_dataset
from compiler.bench.images import Preprocessing, preprocessing
from compiler.errors import EdgetuneError, UsageError
from compiler.tensors import TensorSpec

pillow = pytest.importorskip("PIL.Image")
DATA = Path(__file__).parent / "data"
SPEC = TensorSpec("x", (4, 3, 16, 16), "float32")


def recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record_torchvision", DATA / "record_torchvision.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = recorder()


@pytest.mark.parametrize("name", made.CASES)
def test_as_torchvision(name: str) -> None:
    _, resize, crop = made.CASES[name]
    with np.load(DATA / "torchvision.npz") as recorded:
        theirs = recorded[name]
    ours = Preprocessing(resize, crop)(pillow.fromarray(made.pixels(name)))
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs).max() < 1e-5


def test_defaults_are_imagenets() -> None:
    assert preprocessing((224, 224), 3, None, None, None) == Preprocessing(256, (224, 224))
    assert preprocessing((28, 28), 1, 28, (0.1,), (0.3,)) == Preprocessing(28, (28, 28), (0.1,), (0.3,))
    with pytest.raises(UsageError, match="need 3 figures"):
        preprocessing((8, 8), 3, None, (0.5,), None)
    with pytest.raises(UsageError, match="1 or 3 channels"):
        preprocessing((8, 8), 4, None, None, None)
    with pytest.raises(UsageError, match="above zero"):
        Preprocessing(8, (8, 8), (0.5,), (0.0,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("cat/b.png", "cat/a.PNG", "dog/c.jpg")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pillow.new("RGB", (20 + number, 20), (number * 60, 0, 0)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_subfolders_are_classes(folder: Path) -> None:
    dataset = open_dataset(str(folder), [SPEC], ImageOptions(resize=16))
    assert (dataset.size, list(dataset.labels)) == (3, [0, 0, 1])  # type: ignore[arg-type]
    items = dataset.take(1, 4)["x"]
    assert items.shape == (2, 3, 16, 16)
    (folder / "cat").rename(folder / "281")
    (folder / "dog").rename(folder / "207")
    assert sorted(open_dataset(str(folder), [SPEC]).labels) == [207, 281, 281]  # type: ignore[arg-type]


def test_a_table_of_labels(folder: Path) -> None:
    (folder / "labels.csv").write_text("file,label\ncat/b.png,7\ndog/c.jpg,9\n")
    assert list(open_dataset(str(folder), [SPEC]).labels) == [-1, 7, 9]  # type: ignore[arg-type]
    (folder / "labels.csv").write_text("name,class\n")
    assert list(open_dataset(str(folder), [SPEC]).labels) == [-1] * 3  # type: ignore[arg-type]
    (folder / "labels.csv").write_text("file,label\ncat/b.png,tabby\n")
    with pytest.raises(UsageError, match="whole numbers"):
        open_dataset(str(folder), [SPEC])


def test_data_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one float input"):
        open_dataset(str(folder), [TensorSpec("x", (1, 8), "float32")])
    with pytest.raises(UsageError, match="a folder of images or an"):
        open_dataset(str(folder / "notes.txt"), [SPEC])
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="there is no image"):
        open_dataset(str(empty), [SPEC])
    (folder / "cat" / "b.png").write_bytes(b"\x89PNG torn")
    with pytest.raises(EdgetuneError, match="cannot be read as an image"):
        open_dataset(str(folder), [SPEC]).take(0, 4)


def test_arrays(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.ones((5, 3, 16, 16)), labels=np.arange(5))
    dataset = open_dataset(str(path), [SPEC])
    assert (dataset.size, dataset.take(4, 4)["x"].shape, dataset.take(0, 1)["x"].dtype) == (
        5,
        (1, 3, 16, 16),
        "float32",
    )
    for wrong, match in (
        ({"y": np.ones(5)}, "no array 'x'"),
        ({"x": np.ones((5, 3, 8, 8))}, "the model takes"),
        ({"x": np.ones((5, 3, 16, 16)), "labels": np.arange(4)}, "same number"),
        ({"x": np.ones((5, 3, 16, 16)), "labels": np.ones(5)}, "whole number"),
    ):
        np.savez(path, **wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=match):
            open_dataset(str(path), [SPEC])
    path.write_bytes(b"no archive")
    with pytest.raises(EdgetuneError, match="cannot read"):
        open_dataset(str(path), [SPEC])
