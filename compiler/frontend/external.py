"""External data: weights that an ONNX file keeps in files beside it. A model may only reach files inside its own
folder.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import onnx

from compiler.errors import EdgetuneError
from compiler.frontend.graphs import all_graphs
from compiler.frontend.tensor_data import expected_bytes


class Digest(Protocol):
    """What `hashlib.sha256()` returns."""

    def update(self, data: bytes, /) -> None: ...


def load_external_data(model: onnx.ModelProto, path: Path, digest: Digest) -> None:
    """Brings every external tensor of the model in `path` into memory, in place, and adds its bytes to `digest`.

    Raises EdgetuneError naming the tensor and the file where the data is missing, outside of the model's folder (an
    absolute path, `..`, a symbolic link that leads out), or shorter than the tensor's shape says.
    """
    folder = path.resolve().parent
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        where = f"{path}: external data of tensor {tensor.name!r}"
        file = _inside(folder, entries.get("location", ""), where)
        offset, length = _number(entries, "offset", where), _number(entries, "length", where)
        size = file.stat().st_size
        expected = expected_bytes(tensor, str(path))
        available = size - (offset or 0)
        if length is not None and length != expected:
            raise EdgetuneError(f"{where}: {length} bytes are given where the tensor's shape needs {expected}")
        if expected > available:
            raise EdgetuneError(
                f"{where}: {file.name} is truncated ({size} bytes; {expected} are needed from offset {offset or 0})"
            )
        try:
            with file.open("rb") as stream:
                stream.seek(offset or 0)
                data = stream.read(expected)
        except OSError as error:
            raise EdgetuneError(f"{where}: cannot read {file.name} ({error.strerror})") from error
        digest.update(data)
        tensor.raw_data = data
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in all_graphs(model.graph):
        yield from graph.initializer
        for node in graph.node:
            yield from _attribute_tensors(node)
    for function in model.functions:
        for node in function.node:
            yield from _attribute_tensors(node)


def _attribute_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors


def _inside(folder: Path, location: str, where: str) -> Path:
    """The regular file that `location` means, once it is sure to be inside `folder`."""
    if not location or "\0" in location:
        raise EdgetuneError(f"{where}: no file is named")
    if Path(location).is_absolute() or ".." in Path(location).parts or "\\" in location:
        raise EdgetuneError(f"{where}: {location!r} is outside of the model's folder, which is refused")
    real = (folder / location).resolve()
    if not real.is_relative_to(folder):
        raise EdgetuneError(f"{where}: {location!r} leads out of the model's folder, which is refused")
    try:
        status = real.stat()
    except OSError as error:
        raise EdgetuneError(f"{where}: {location!r} is missing beside the model ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise EdgetuneError(f"{where}: {location!r} is no regular file")
    return real


def _number(entries: dict[str, str], key: str, where: str) -> int | None:
    if key not in entries:
        return None
    text = entries[key]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise EdgetuneError(f"{where}: {key} {text[:30]!r} is no size in bytes")
    return int(text)
