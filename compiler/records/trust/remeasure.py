"""Are claimed times true here? Kernels of imported records are measured again, and claim and measurement compared."""

from __future__ import annotations

import dataclasses
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import targets
from compiler.records.provenance import NOTHING_KNOWN, Provenance
from compiler.records.record import CHECK_RUN, Record, now
from compiler.records.store import Store
from compiler.records.trust.claims import Kernel, imported_records
from compiler.records.trust.verdicts import only_vetted
from compiler.records.trust.verify import Progress, local_search

if TYPE_CHECKING:
    from compiler.tuning.builder import Builder
    from compiler.tuning.runner import Runner

ROUNDS = 2  # of measuring, one after the other over all kernels, so that a moment's disturbance hits one of them
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """A claim and what was measured here; seconds are medians.

    `p` is the probability of a difference like this between repeats of one kernel (Welch's t-test on logarithms), None
    where either side has one repeat. `off` says that the difference is beyond the threshold, and not by chance.
    `error`: why nothing was measured. `provenance`: of the measurement.
    """

    record: Record
    name: str
    claimed: float
    measured: tuple[float, ...] = ()
    p: float | None = None
    off: bool = False
    error: str | None = None
    provenance: Provenance = NOTHING_KNOWN

    @property
    def seconds(self) -> float | None:
        """The median of what was measured."""
        return statistics.median(self.measured) if self.measured else None

    @property
    def ratio(self) -> float | None:
        """Measured over claimed: 2 is twice as slow as claimed."""
        return None if self.seconds is None else self.seconds / self.claimed


def choose(
    store: Store, kernels: Mapping[str, Kernel], fingerprint: str, sample: int | None, seed: int = 0
) -> list[Record]:
    """The imported records to measure: `sample` at random of those that may be used, all without it."""
    found = [record for digest in kernels for record in imported_records(store, digest, fingerprint)]
    vetted = only_vetted(store, found)
    if sample is None or sample >= len(vetted):
        return vetted
    drawn = set(random.Random(seed).sample(range(len(vetted)), sample))  # noqa: S311 - no secret
    return [record for number, record in enumerate(vetted) if number in drawn]


def remeasure(
    records: Sequence[Record],
    kernels: Mapping[str, Kernel],
    target: targets.Target,
    builder: Builder,
    runner: Runner,
    folder: Path,
    threshold: float,
    progress: Progress | None = None,
) -> list[Comparison]:
    """Builds and measures `records`, as tuning measures trials, and compares; in their order.

    threshold: how far off a claim may be, as a fraction (0.2: 20 %), in either direction.
    """
    from compiler.tuning.limits import BUILD_SECONDS
    from compiler.tuning.state import TaskState
    from compiler.tuning.work import Trial, Work

    trials: dict[int, Trial] = {}
    errors: dict[int, str] = {}
    jobs = []
    for number, record in enumerate(records):
        kernel = kernels[record.workload]
        search = local_search(kernel, target)
        candidate = search.from_record(record)
        if candidate is None:
            errors[number] = "its trace does not apply"
            continue
        trials[number] = Trial(Work(TaskState(number, kernel.name, kernel.hash, 1), search), candidate)
        library = str(folder / f"claim-{number}.so")
        jobs.append({"module": candidate.module, "target": target.config(), "library": library})
    if progress is not None:
        progress(f"Building {len(jobs)} kernels")
    for number, outcome in zip(list(trials), builder.map("build", jobs, BUILD_SECONDS), strict=True):
        error = trials[number].built(outcome)
        if error is not None:
            errors[number] = error
            del trials[number]
    seconds: dict[int, list[float]] = {number: [] for number in trials}
    numbers = {id(trial): number for number, trial in trials.items()}
    for turn in range(ROUNDS):
        if progress is not None:
            progress(f"Measuring {len(trials)} kernels ({turn + 1} of {ROUNDS})")
        for trial in trials.values():
            runner.submit(trial)
        waiting = len(trials)
        while waiting:
            for trial, outcome in runner.take(1.0):
                waiting -= 1
                number = numbers[id(trial)]
                if outcome.error is not None:
                    errors[number] = outcome.error
                else:
                    seconds[number] += [float(second) for second in outcome.value]
    return [
        dataclasses.replace(
            _compare(record, kernels[record.workload].name, seconds.get(n, []), errors.get(n), threshold),
            provenance=trials[n].provenance if n in trials else NOTHING_KNOWN,
        )
        for n, record in enumerate(records)
    ]


def keep(store: Store, comparisons: Sequence[Comparison]) -> None:
    """Notes in the store how each claim stood."""
    sql = "INSERT OR REPLACE INTO remeasured (record, claimed, measured, reproduced, created) VALUES (?, ?, ?, ?, ?)"
    rows = [(c.record.id, c.claimed, c.seconds, int(not c.off), now()) for c in comparisons if c.seconds is not None]
    with store.transaction() as db:
        db.executemany(sql, rows)


def demote(store: Store, comparisons: Sequence[Comparison], runner: Runner) -> int:
    """Keeps what was measured for the claims that are off, as this device's own measurements, which stand for a trace
    before imported ones; how many. Each says in `extra` which claim it disproves.
    """
    from compiler.version import tool_version

    off = [c for c in comparisons if c.off and c.measured]
    return store.add_many(
        dataclasses.replace(
            c.record,
            seconds=c.measured,
            error=None,
            tvm_version=runner.tvm_version,
            tool_version=tool_version(),
            created=now(),
            checked=None,
            run=CHECK_RUN,
            provenance=c.provenance,
            author="",
            extra={**runner.remarks, "disproves": c.record.id, "claimed_seconds": c.claimed},
        )
        for c in off
    )


def _compare(record: Record, name: str, seconds: Sequence[float], error: str | None, threshold: float) -> Comparison:
    claimed = record.median or 0.0
    if error is not None or not seconds:
        return Comparison(record, name, claimed, error=error or "nothing was measured")
    p = _welch(record.seconds, seconds)
    ratio = statistics.median(seconds) / claimed
    far = ratio > 1 + threshold or ratio < 1 / (1 + threshold)
    return Comparison(record, name, claimed, tuple(seconds), p, off=far and (p is None or p < SIGNIFICANT))


def _welch(claimed: Sequence[float], measured: Sequence[float]) -> float | None:
    from scipy import stats

    if len(claimed) < 2 or len(measured) < 2:
        return None
    a, b = np.log(claimed), np.log(measured)
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return 1.0 if a[0] == b[0] else 0.0
    return float(stats.ttest_ind(a, b, equal_var=False).pvalue)
