"""`edgetune report`: result lines as a page, a picture or a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from compiler.commands.source import must_be_file
from compiler.errors import EdgetuneError, UsageError
from compiler.places import must_hold_files
from compiler.report.document.reading import CurveLine, Loaded
from compiler.report.output import Output

_BAD_NAMED = 5


def report(sources: Sequence[str], output: Output, destination: str, logs: str | None) -> None:
    """Write what the result files `sources` hold, and the tuning curves of the record store `logs`, to `destination`.

    Its ending says what it becomes. Lines that cannot be used are named and skipped. Raises EdgetuneError where nothing
    can be used, and UsageError for another ending or a file that is not there.
    """
    from compiler.report.document.reading import read_results

    path = Path(destination)
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise UsageError(f"-o {path}: the name of a report ends in {', '.join(_WRITERS)}")
    for source in sources:
        must_be_file(source, "RESULTS")
        if path.exists() and path.samefile(source):
            raise UsageError(f"-o {path}: this file is read; give another name")
    if path.is_dir():
        raise EdgetuneError(f"cannot write {path}: it is a folder")
    must_hold_files(path.absolute().parent, path)
    loaded = read_results(map(Path, sources))
    if logs is not None:
        loaded.curves += _curves(logs)
    for line in loaded.bad[:_BAD_NAMED]:
        output.warn(f"skipped {line}")
    if len(loaded.bad) > _BAD_NAMED:
        output.warn(f"skipped {len(loaded.bad) - _BAD_NAMED} more lines, which the report names")
    if not loaded.results and not loaded.curves:
        raise EdgetuneError(f"no result to report in {', '.join(sources)}")
    _replace(path, write(loaded))
    repeated = f", {loaded.repeated} repeated lines left out" if loaded.repeated else ""
    output.say(f"written to {path}: {len(loaded.results)} results{repeated}")


def _curves(logs: str) -> list[CurveLine]:
    from compiler.commands.store import existing_store
    from compiler.records.curves import curves

    with existing_store(logs) as store:
        names = {task.workload: task.name for task in store.summary(None)}
        return [
            CurveLine(names[found.workload], found.workload, found.run, list(found.best))
            for found in curves(store.records())
            if len(found.best) > 1
        ]


def _html(loaded: Loaded) -> Iterable[bytes]:
    from compiler.report.document.compose import compose
    from compiler.report.document.html import to_html

    return (piece.encode() for piece in to_html(compose(loaded)))


def _markdown(loaded: Loaded) -> Iterable[bytes]:
    from compiler.report.document.compose import compose
    from compiler.report.document.plain import to_markdown

    return (piece.encode() for piece in to_markdown(compose(loaded)))


def _csv(loaded: Loaded) -> Iterable[bytes]:
    from compiler.report.document.plain import to_csv

    if not loaded.results:
        raise EdgetuneError("a table needs results, and there are only tuning curves")
    return [to_csv(loaded.results).encode()]


def _svg(loaded: Loaded) -> Iterable[bytes]:
    from compiler.report.document.compose import main_figure
    from compiler.report.document.vega import to_svg

    return [to_svg(main_figure(loaded)).encode()]


def _png(loaded: Loaded) -> Iterable[bytes]:
    from compiler.report.document.compose import main_figure
    from compiler.report.document.vega import to_png

    return [to_png(main_figure(loaded))]


_WRITERS: dict[str, Callable[[Loaded], Iterable[bytes]]] = {
    ".html": _html,
    ".md": _markdown,
    ".csv": _csv,
    ".svg": _svg,
    ".png": _png,
}


def _replace(path: Path, pieces: Iterable[bytes]) -> None:
    """All of it or nothing: a report that was there stays until the new one is whole."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.writelines(pieces)
        partial.replace(path)
    except OSError as error:
        raise EdgetuneError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
