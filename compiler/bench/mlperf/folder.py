"""Where LoadGen's logs are kept: as MLPerf lays out a submission's results, in a folder of each measurement's own."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import msgspec

from compiler.bench.mlperf.outcome import Mlperf
from compiler.bench.mlperf.scenarios import PERFORMANCE
from compiler.errors import EdgetuneError
from compiler.packaging.manifest import Manifest

OUTPUT = "output.txt"
"""What LoadGen's process wrote to its standard output and error, where it wrote anything."""
_FIGURES = "mlperf.json"
_README = "README.txt"


def new_folder(logs: Path, manifest: Manifest) -> Path:
    """A new folder in `logs`, named after the package and the time. Raises EdgetuneError where none can be made."""
    when = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    batch = "" if manifest.batch is None else f"-b{manifest.batch}"
    name = "".join(char if char.isalnum() or char in "._-" else "_" for char in manifest.model.name)[:100]
    for number in range(1000):
        folder = logs / f"{name}{batch}-{manifest.precision}-{when}{f'-{number}' if number else ''}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue  # another measurement of this second
        except OSError as error:
            raise EdgetuneError(f"cannot make the folder {folder}: {error.strerror}") from None
        return folder
    raise EdgetuneError(f"cannot make a folder in {logs}: there are too many of this second")


def run_folder(folder: Path, scenario: str, mode: str) -> Path:
    """The folder of one run, which is made. Raises EdgetuneError where it cannot be."""
    made = folder / scenario / mode
    if mode == PERFORMANCE:
        made /= "run_1"
    try:
        made.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgetuneError(f"cannot make the folder {made}: {error.strerror}") from None
    return made


def describe(folder: Path, whole: Mlperf) -> None:
    """Put figures beside the logs, and in words what they are. Raises EdgetuneError where the disk refuses."""
    short = [run.scenario for run in whole.runs if run.short]
    lines = [
        f"Logs of MLCommons' LoadGen {whole.loadgen}, from `edgetune bench --mlperf`, {whole.started}.",
        f"These results are {whole.review}: they are no MLPerf results.",
    ]
    lines += [
        f"SHORT: {run.scenario} was asked for {run.min_seconds:g} s and {run.min_queries} at least; MLPerf's rules ask "
        f"for {run.official_seconds:g} s and {run.official_queries}."
        for run in whole.runs
        if run.short
    ]
    if not short:
        lines.append("No run was asked to be shorter than MLPerf's rules have it.")
    lines.append(f"Latency is {whole.timed}.")
    try:
        (folder / _FIGURES).write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n")
        (folder / _README).write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise EdgetuneError(f"cannot write in {folder}: {error.strerror}") from None
