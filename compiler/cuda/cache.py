"""Machine code of kernels that were compiled before, found by what it was made of."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 2 << 30
_ELF = b"\x7fELF"


def cached(parts: Sequence[str], make: Callable[[], bytes], folder: Path | None = None) -> bytes:
    """What `make()` gives, from the cache where it was made of the same `parts` before.

    A folder that cannot be written, or a damaged file in it, costs only the time to make it anew.
    """
    folder = folder if folder is not None else _folder()
    path = folder / f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}.cubin"
    with suppress(OSError):
        found = path.read_bytes()
        if found.startswith(_ELF):
            with suppress(OSError):
                os.utime(path)  # the least recently used goes first
            return found
    made = make()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=folder, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(made)
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)
        _prune(folder)
    return made


def _folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("edgetune", appauthor=False)) / "cuda" / "kernels"


def _prune(folder: Path) -> None:
    """Remove the least recently used files until MAX_BYTES are not exceeded."""
    files = []
    for path in folder.glob("*.cubin"):
        with suppress(OSError):
            state = path.stat()
            files.append((state.st_mtime, state.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= MAX_BYTES:
            return
        with suppress(OSError):
            path.unlink()
            total -= size
