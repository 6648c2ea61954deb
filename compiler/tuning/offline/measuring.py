"""Measuring a batch on the board that it was carried to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compiler.errors import EdgetuneError
from compiler.report import format as fmt
from compiler.scratch import scratch_folder
from compiler.tuning.offline.batch import Batch, opened_batch
from compiler.tuning.offline.results import ResultsFile
from compiler.tuning.offline.schema import MAX_ERROR_CHARS, Header, Job, Result
from compiler.tuning.workers import MEASURER, Outcome, Pool


@dataclass
class Tally:
    """How far a batch is measured: `done` of `jobs` have a result, `failed` of them an error; `before` were done when
    it began."""

    jobs: int
    done: int = 0
    failed: int = 0
    before: int = 0


def measure_batch(path: Path, results: Path, progress: Callable[[Tally], None]) -> Tally:
    """Measure what the batch `path` holds and `results` does not say yet; `progress` is told after each job.

    Raises EdgetuneError, in one line, where the batch is damaged or for another machine, where `results` is something
    else or cannot be written, and where TVM's runtime does not load.
    """
    with opened_batch(path) as batch:
        said = _identity()
        _must_fit(batch.header, said, path)
        with (
            ResultsFile(results, batch.header.batch, said) as file,
            scratch_folder("measure") as folder,
            Pool(1, batch.header.threads, MEASURER) as pool,
        ):
            return _measure(batch, file, folder, pool, progress)


def _measure(batch: Batch, file: ResultsFile, folder: Path, pool: Pool, progress: Callable[[Tally], None]) -> Tally:
    from compiler.runtime.sensors.reading import Sensors

    known = {job.id for job in batch.jobs}
    if not known.issuperset(file.done):
        raise EdgetuneError(f"{file.path} holds results of jobs that are not in this batch: give another name")
    before = len(file.done)
    tally = Tally(len(batch.jobs), before, sum(r.error is not None for r in file.done.values()), before)
    progress(tally)
    sensors = Sensors()
    if before < len(batch.jobs):
        _must_start(pool)
    for number, job in enumerate(batch.jobs):
        if job.id in file.done:
            continue
        library = folder / f"{number}.so"
        batch.extract(job, library)
        try:
            outcome = _outcome(pool, job, library)
        finally:
            library.unlink(missing_ok=True)
        celsius = [c for c in sensors.read(wait=False)["celsius"].values() if math.isfinite(c)]
        result = _result(job, outcome, max(celsius, default=None))
        file.add(result)
        tally.done += 1
        tally.failed += result.error is not None
        progress(tally)
    return tally


def _outcome(pool: Pool, job: Job, library: Path) -> Outcome:
    """The seconds of each repeat, or what happened instead. Raises EdgetuneError where that is not the library's
    doing."""
    [outcome] = pool.map("measure", [{"job": job.request(str(library))}], job.limit_seconds)
    if outcome.error is not None and not pool.workers[0].ready:
        raise EdgetuneError(f"TVM's runtime does not load here any more: {outcome.error}")
    if outcome.error is None and "error" in outcome.value:
        return Outcome(error=str(outcome.value["error"]))
    return outcome


def _result(job: Job, outcome: Outcome, celsius: float | None) -> Result:
    seconds = [] if outcome.error is not None else [float(s) for s in outcome.value["seconds"]]
    error = outcome.error
    if error is None and not (seconds and all(math.isfinite(s) and s > 0 for s in seconds)):
        seconds, error = [], "no time was measured"
    if error is not None:
        error = " ".join("".join(c if c.isprintable() else " " for c in error).split())[:MAX_ERROR_CHARS] or "failed"
    return Result(
        id=job.id, sha256=job.sha256, seconds=seconds, error=error, time=round(time.time(), 3), celsius=celsius
    )


def _identity() -> dict[str, Any]:
    from compiler.runtime.agent.identity import find_gpu, has_gpu_device, identity

    return identity(find_gpu() if has_gpu_device() else None)


def _must_fit(header: Header, identity: dict[str, Any], path: Path) -> None:
    """Raises EdgetuneError where the batch cannot be measured on this machine."""
    import targets

    if header.machine != identity["machine"]:
        raise EdgetuneError(f"{path} is for {header.machine}, and this machine is {identity['machine']}")
    if identity["cores"] < header.threads:
        raise EdgetuneError(
            f"{path} was made to compute with {fmt.count(header.threads, 'thread')}, and this machine has "
            f"{fmt.count(identity['cores'], 'core')}: export it with --threads {identity['cores']}"
        )
    try:
        target = targets.get(header.target, header.threads)
    except targets.TargetError:  # a newer edgetune's: what does not run fails job by job
        return
    reason = targets.why_not_run(target)
    if reason is not None:
        raise EdgetuneError(f"{path} is for {header.target}: {reason}")


def _must_start(pool: Pool) -> None:
    [outcome] = pool.map("ready", [{}], 60.0)
    if outcome.error is not None:
        raise EdgetuneError(f"TVM's runtime does not load here: {outcome.error}")
