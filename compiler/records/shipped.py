"""The logs that come with edgetune: taken into a store once, and only those of the fingerprint at hand."""

from __future__ import annotations

import hashlib
from pathlib import Path

from compiler.errors import EdgetuneError
from compiler.records.exchange.import_ import import_files
from compiler.records.exchange.report import ImportReport
from compiler.records.store import Store
from compiler.records.trust.verdicts import SHIPPED


def shipped_folder() -> Path | None:
    """`tuning_logs/` beside the `compiler` package, in a checkout and in an installed wheel; None if there is none."""
    import compiler

    for place in compiler.__path__:
        folder = Path(place).resolve().parent / "tuning_logs"
        if folder.is_dir():
            return folder
    return None


def shipped_fingerprints(target: str, folder: Path | None = None) -> list[str]:
    """The fingerprints of the target called `target` that logs come with edgetune for, sorted."""
    folder = folder or shipped_folder()
    if folder is None:
        return []
    return sorted(path.name for path in folder.glob(f"{target}-*") if path.is_dir())


def import_shipped(store: Store, fingerprint: str, folder: Path | None = None) -> ImportReport:
    """Imports FOLDER/<fingerprint>/*.jsonl (default: `shipped_folder()`), each file's content once per store.

    What the store has taken in is known by the content's SHA-256, so that a later call costs only the hashing, and a
    pruned store does not get back what was pruned. Raises EdgetuneError when the store cannot be written.
    """
    report = ImportReport()
    folder = folder or shipped_folder()
    if folder is None or "/" in fingerprint or fingerprint.startswith("."):
        return report
    new: dict[str, Path] = {}
    for path in sorted((folder / fingerprint).glob("*.jsonl")):
        key = f"shipped {fingerprint} {_sha256(path)}"
        if store.note(key) is None:
            new[key] = path
    if new:
        import_files(store, list(new.values()), report, only=fingerprint, origin=SHIPPED)
        store.set_notes({key: path.name for key, path in new.items()})
    return report


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise EdgetuneError(f"cannot read {path}: {error.strerror}") from None
