"""Inputs of a model: seeded random ones, and a user's .npz file, its headers checked before anything is read.

Arrays at hand are checked where they go into compiled code: `compiler.runtime.inputs`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from compiler.errors import EdgetuneError, UsageError
from compiler.tensors import TensorSpec


def random_inputs(specs: Sequence[TensorSpec], seed: int = 0) -> dict[str, np.ndarray]:
    """One array per input, by name: N(0,1) for floats (what a normalised image looks like), 0 or 1 for integers and
    booleans.

    0 and 1 are valid as an index, a token and a mask alike; uint8 tensors of three or more dimensions are images, 0
    to 255. An input's values depend on `seed`, its name and its shape, not on the other inputs.
    """
    return {spec.name: _random(spec, seed) for spec in specs}


def _random(spec: TensorSpec, seed: int) -> np.ndarray:
    generator = np.random.Generator(np.random.SFC64([seed, zlib.crc32(spec.name.encode())]))
    if spec.dtype == "bool":
        return generator.integers(0, 2, spec.shape).astype(bool)
    dtype = _dtype(spec)
    if dtype.kind in "iu":
        top = 256 if dtype == np.uint8 and len(spec.shape) >= 3 else 2
        return generator.integers(0, top, spec.shape).astype(dtype)
    return generator.standard_normal(spec.shape, dtype=np.float32).astype(dtype)


def load_inputs(path: str | Path, specs: Sequence[TensorSpec]) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, one for each of `specs`, in their order.

    Names, shapes and dtypes are read from the file's headers and checked before any data is; nothing is unpickled.
    Raises UsageError where the file does not fit the model, EdgetuneError where it cannot be read.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            _check_names(names, specs, str(path))
            arrays = {}
            for spec in specs:
                with archive.open(f"{spec.name}.npy") as member:
                    shape, dtype = _header(member)
                _check_array(spec, shape, dtype, str(path))
                with archive.open(f"{spec.name}.npy") as member:
                    arrays[spec.name] = np.lib.format.read_array(member, allow_pickle=False)
            return arrays
    except EdgetuneError:
        raise
    except OSError as error:
        raise EdgetuneError(f"{path}: cannot read the file ({error.strerror or error})") from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        EOFError,
        KeyError,
        SyntaxError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise EdgetuneError(
            f"{path}: no .npz file as numpy.savez writes it, or damaged ({str(error)[:80]!r})"
        ) from error


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    return shape, dtype


def _check_names(names: Sequence[str], specs: Sequence[TensorSpec], where: str) -> None:
    expected = [spec.name for spec in specs]
    known = ", ".join(map(repr, expected)) or "none"
    unknown = sorted(set(names) - set(expected))
    missing = sorted(set(expected) - set(names))
    if unknown:
        raise UsageError(f"{where}: unknown input {', '.join(map(repr, unknown))}; the model's inputs are {known}")
    if missing:
        raise UsageError(f"{where}: no array for input {', '.join(map(repr, missing))}")


def _check_array(spec: TensorSpec, shape: tuple[int, ...], dtype: np.dtype, where: str) -> None:
    if tuple(shape) != spec.shape:
        raise UsageError(f"{where}: input {spec.name!r} has shape {tuple(shape)}; the model takes {spec.shape}")
    if dtype != _dtype(spec):
        raise UsageError(f"{where}: input {spec.name!r} is {dtype}; the model takes {spec.dtype}")


def _dtype(spec: TensorSpec) -> np.dtype:
    try:
        return np.dtype(spec.dtype)
    except TypeError:
        import ml_dtypes  # bfloat16 and the like, which numpy itself does not have

        return np.dtype(getattr(ml_dtypes, spec.dtype))
