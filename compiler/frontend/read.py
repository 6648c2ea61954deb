"""Reading an ONNX file: whatever is wrong with it ends in one line that names the file."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from compiler.errors import EdgetuneError
from compiler.frontend.external import load_external_data
from compiler.frontend.quiet import one_line

# protobuf cannot hold more in one message; larger models keep their weights in external data
MAX_FILE_BYTES = 2**31 - 1


def read_model(path: Path) -> tuple[onnx.ModelProto, str]:
    """The model in a file with its external data in memory, and the SHA-256 of all that was read.

    Raises EdgetuneError when the file is missing, a folder, empty, truncated or no ONNX model, or when its external
    data is missing, outside of the model's folder, or not of the size that its shape says.
    """
    content = _read_bytes(path)
    digest = hashlib.sha256(content)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise EdgetuneError(f"{path}: this is no ONNX file, or it is truncated ({one_line(error, 80)})") from error
    if not model.graph.node and not model.graph.output:
        raise EdgetuneError(f"{path}: this is no ONNX file: it holds no graph")
    load_external_data(model, path, digest)
    return model, digest.hexdigest()


def _read_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise EdgetuneError(f"{path}: this is a folder; name the .onnx file in it")
        if not stat.S_ISREG(status.st_mode):
            raise EdgetuneError(f"{path}: this is no regular file; name an .onnx file")
        if status.st_size == 0:
            raise EdgetuneError(f"{path}: the file is empty")
        if status.st_size > MAX_FILE_BYTES:
            raise EdgetuneError(
                f"{path}: larger than 2 GiB, which no ONNX file can be; save the model with external data"
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise EdgetuneError(f"{path}: cannot read the file ({reason})") from error
