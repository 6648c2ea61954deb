"""Data with or without labels: a folder of images, or an .npz file of arrays with one item per row."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler.bench.images import ENDINGS, preprocessing
from compiler.errors import EdgetuneError, UsageError
from compiler.tensors import TensorSpec

LABELS = "labels"
LABELS_FILE = "labels.csv"


@dataclass(frozen=True)
class Dataset:
    """`labels` is the class of each item, -1 where it is not known; None where no item has one.

    `take(start, count)` gives the items as inputs by name, batch first.
    """

    name: str
    size: int
    labels: np.ndarray | None
    take: Callable[[int, int], dict[str, np.ndarray]]


@dataclass(frozen=True)
class ImageOptions:
    """What a user says of how images are prepared; None is what ImageNet's networks are given."""

    resize: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def open_dataset(path: str, specs: Sequence[TensorSpec], options: ImageOptions | None = None) -> Dataset:
    """The data in `path` for a model with the inputs `specs`, whose first axis is the batch.

    Raises UsageError where they do not fit the model, EdgetuneError where they cannot be read.
    """
    place = Path(path)
    if any(not spec.shape for spec in specs) or not specs:
        raise UsageError("--dataset needs a model whose inputs have a batch")
    if place.is_dir():
        return _folder(place, specs, options or ImageOptions())
    if place.suffix == ".npz":
        return _arrays(place, specs)
    raise UsageError(f"--dataset {path}: give a folder of images or an .npz file")


def _arrays(path: Path, specs: Sequence[TensorSpec]) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise EdgetuneError(f"cannot read {path}: {' '.join(str(error).split())[:200]}") from None
    sizes = set()
    for spec in specs:
        if spec.name not in arrays:
            raise UsageError(f"--dataset {path}: there is no array {spec.name!r}, which the model takes")
        array = arrays[spec.name]
        if array.shape[1:] != spec.shape[1:]:
            raise UsageError(
                f"--dataset {path}: items of {spec.name} have shape {array.shape[1:]}, the model takes {spec.shape[1:]}"
            )
        sizes.add(len(array))
    labels = arrays.get(LABELS) if all(spec.name != LABELS for spec in specs) else None
    if labels is not None:
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise UsageError(f"--dataset {path}: `{LABELS}` must hold one whole number per item")
        sizes.add(len(labels))
    if len(sizes) != 1 or 0 in sizes:
        raise UsageError(f"--dataset {path}: its arrays must have the same number of items, and one at least")

    def take(start: int, count: int) -> dict[str, np.ndarray]:
        return {spec.name: arrays[spec.name][start : start + count].astype(spec.dtype) for spec in specs}

    return Dataset(path.name, sizes.pop(), labels, take)


def _folder(path: Path, specs: Sequence[TensorSpec], options: ImageOptions) -> Dataset:
    if len(specs) != 1 or len(specs[0].shape) != 4 or not specs[0].dtype.startswith("float"):
        raise UsageError("a folder of images is for models with one float input of (batch, channels, height, width)")
    (spec,) = specs
    _, channels, height, width = spec.shape
    prepare = preprocessing((height, width), channels, options.resize, options.mean, options.std)
    images = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
    if not images:
        raise UsageError(f"--dataset {path}: there is no image in this folder ({', '.join(ENDINGS)})")
    labels = _labels(path, images)

    def take(start: int, count: int) -> dict[str, np.ndarray]:
        return {spec.name: np.stack([prepare.load(file) for file in images[start : start + count]]).astype(spec.dtype)}

    return Dataset(path.name, len(images), labels, take)


def _labels(path: Path, images: Sequence[Path]) -> np.ndarray | None:
    """From labels.csv (`file,label`), or from the subfolders: their numbers, else their places in sorted order."""
    table = path / LABELS_FILE
    if table.is_file():
        known = _table(table)
        return np.array([known.get(image.relative_to(path).as_posix(), -1) for image in images])
    folders = [image.relative_to(path).parts[0] if image.parent != path else None for image in images]
    names = sorted({name for name in folders if name is not None})
    if not names:
        return None
    numbers: Mapping[str, int] = {name: place for place, name in enumerate(names)}
    if all(name.isascii() and name.isdigit() for name in names):
        numbers = {name: int(name) for name in names}
    return np.array([-1 if name is None else numbers[name] for name in folders])


def _table(path: Path) -> dict[str, int]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {row["file"]: int(row["label"]) for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError):
        raise UsageError(f"{path}: it must have the columns file and label, and labels are whole numbers") from None
