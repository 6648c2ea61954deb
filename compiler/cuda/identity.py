"""What the library of a package is made of, all of it: where nothing of this has changed, nothing of the library has.

The graph with its weights, the target, the options, every source file of edgetune, and the programs and packages that
take part in the work.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from targets import cuda_toolkit, toolchain
from targets.target import Target

if TYPE_CHECKING:
    import onnx

    from compiler.frontend.model import Model

_ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = ("compiler", "schedules", "targets")
_SUFFIXES = (".py", ".c", ".h")
_PACKAGES = ("apache-tvm", "apache-tvm-ffi", "numpy", "onnx", "onnxruntime", "onnxslim", "ziglang")
_MARGIN_SECONDS = 2.0  # how exactly the start of a process and the change of a file can be compared


def parts_of(model: Model, target: Target, options: list[str]) -> list[str] | None:
    """What a library of `model` for `target`, compiled with `options`, is made of.

    None where that cannot be told: a source file changed after this process began may have been read before.
    """
    sources = _sources()
    if sources is None:
        return None
    return [
        *(sources, sys.version, *options),
        *(_graph(model.reference), repr(model.seed is None), repr(model.inputs), repr(model.outputs)),
        *(repr(sorted(target.config().items())), repr(target.hardware)),
        *(f"{name} {_version(name)}" for name in _PACKAGES),
        *_programs(target),
    ]


def _graph(proto: onnx.ModelProto) -> str:
    """The hash of a graph and its weights; a model may be larger than what protobuf writes in one piece."""
    from compiler.frontend.graphs import skeleton

    digest = hashlib.sha256(skeleton(proto).SerializeToString(deterministic=True))
    for tensor in proto.graph.initializer:
        digest.update(f"\0{tensor.name}\0{tensor.data_type}\0{list(tensor.dims)}\0".encode())
        digest.update(tensor.raw_data if tensor.HasField("raw_data") else tensor.SerializeToString(deterministic=True))
    return digest.hexdigest()


def _sources() -> str | None:
    """The hash of edgetune's source files; None where one of them is younger than this process."""
    found = _source_state()
    began = _began() - _MARGIN_SECONDS
    return None if any(changed > began for _, changed in found) else _content_hash(tuple(path for path, _ in found))


def _source_state() -> list[tuple[Path, float]]:
    return [(path, path.stat().st_mtime) for path in _source_files()]


def _source_files() -> Iterator[Path]:
    for folder in _FOLDERS:
        for path in sorted((_ROOT / folder).rglob("*")):
            if path.suffix in _SUFFIXES:
                yield path


@functools.lru_cache(maxsize=1)
def _began() -> float:
    import psutil

    return psutil.Process().create_time()


@functools.lru_cache(maxsize=1)
def _content_hash(paths: tuple[Path, ...]) -> str:
    """Of files that have not changed since this process began."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(_ROOT)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _programs(target: Target) -> Iterator[str]:
    """The compilers and linkers that are called, and TVM's library, by size and time: a build of one's own may have the
    version of another."""
    arch, host = target.options.get("arch"), target.host if target.host is not None else target.options
    toolkit = cuda_toolkit.toolkit_for(str(arch)) if arch is not None else None
    if toolkit is not None:
        yield from cuda_toolkit.states(toolkit)
    command = toolchain.linker_command(str(host["mtriple"])) if "mtriple" in host else toolchain.linker_command()
    for word in command or ():
        found = shutil.which(word)
        yield _state(Path(found)) if found is not None else word
    tvm = importlib.metadata.distribution("apache-tvm")
    for file in tvm.files or ():
        if file.name.startswith("libtvm"):
            yield _state(Path(str(tvm.locate_file(file))))


def _state(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return f"{path} absent"
    return f"{path} {state.st_size} {state.st_mtime_ns}"
