"""Machine code of kernels that were compiled before, found by what it was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from compiler.cuda.files import FileCache, cache_folder, key_of

MAX_BYTES = 2 << 30
_ELF = b"\x7fELF"


def cached(parts: Sequence[str], make: Callable[[], bytes], folder: Path | None = None) -> bytes:
    """What `make()` gives, from the cache where it was made of the same `parts` before.

    A folder that cannot be written, or a damaged file in it, costs only the time to make it anew.
    """
    files = FileCache(folder if folder is not None else cache_folder("kernels"), "cubin", MAX_BYTES)
    key = key_of(parts)
    found = files.read(key)
    if found is not None and found.startswith(_ELF):
        return found
    made = make()
    files.write(key, [made])
    return made
