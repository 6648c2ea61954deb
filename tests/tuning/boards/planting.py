"""Builders that put libraries of their own in the place of candidates: of some, or of all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import targets
from compiler.tuning.builder import Done
from compiler.tuning.workers import Outcome, Pool
from tests.tuning import libraries
from tests.tuning.stand_in import StandInBuilder


class Planting:
    """Builds as `pool` does; the n-th library of the run (from 1) is what `plants` says: `crash`, `hang`, ... of
    tests/tuning/libraries.py, or `nan`."""

    def __init__(self, pool: Pool, plants: Mapping[int, str], folder: Path, target: targets.Target) -> None:
        self._pool = pool
        self._plants = dict(plants)
        self._folder = folder
        self._config = target.config()
        self._built = 0
        self._hanging: set[str] = set()
        self.parallel = pool.parallel

    def map(
        self,
        kind: str,
        jobs: Sequence[dict[str, Any]],
        timeout: float,
        stop: Callable[[], bool] | None = None,
        done: Done | None = None,
    ) -> list[Outcome]:
        outcomes = self._pool.map(kind, jobs, timeout, stop)
        for index, outcome in enumerate(outcomes):
            if outcome.error is None and not jobs[index].get("keep_packing"):
                self._built += 1
                outcomes[index] = self._planted(self._plants.pop(self._built, None), outcome)
            if done is not None and outcome.error != "not run":
                done(index, outcomes[index])
        return outcomes

    def abandon(self) -> None:
        self._pool.abandon()

    def hangs(self, library: str) -> bool:
        """Whether it is a `hang`."""
        return library in self._hanging

    def _planted(self, plant: str | None, outcome: Outcome) -> Outcome:
        if plant is None:
            return outcome
        library, arguments = outcome.value
        if plant == "hang":
            self._hanging.add(library)
        if plant != "nan":
            shutil.copyfile(libraries.misbehaving(self._folder, plant, str(self._config["mtriple"])), library)
            return outcome
        job = libraries.build_job(
            self._folder, formula="te.log(x - x - 1)", parameters=len(arguments), target=self._config
        )
        [built] = self._pool.map("build", [job], 240)
        assert built.error is None, built.error
        shutil.copyfile(built.value[0], library)
        return Outcome(value=(library, built.value[1]))


class Copying(StandInBuilder):
    """Hands out copies of one library, that of a kernel on four floats, for every candidate: where a test is about what
    becomes of candidates, building them would be most of its time."""

    parameters = 4  # no task of the tests has more

    def __init__(self, pool: Pool, folder: Path, target: targets.Target) -> None:
        job = libraries.build_job(folder, parameters=self.parameters, target=target.config())
        [outcome] = pool.map("build", [job], 240)
        assert outcome.error is None, outcome.error
        self._library, self._arguments = outcome.value

    def build(self, job: dict[str, Any]) -> Outcome:
        shutil.copyfile(self._library, job["library"])
        return Outcome(value=(job["library"], self._arguments))
