"""`edgetune bench --mlperf`: what the options mean, and a measured package under MLPerf's load."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from compiler.bench.mlperf.scenarios import ACCURACY, MODES, PERFORMANCE, scenarios
from compiler.commands import parse
from compiler.errors import UsageError
from compiler.places import make_folder

if TYPE_CHECKING:
    from compiler.bench.mlperf.order import Duration
    from compiler.bench.run import BenchReport
    from compiler.commands.bench import BenchOptions, Subject
    from compiler.commands.device import Place
    from compiler.report.steps import Steps


@dataclass(frozen=True)
class LoadOptions:
    """`--mlperf` and what goes with it, as the command line gives them."""

    mlperf: str | None = None
    mode: str = PERFORMANCE
    full: bool = False
    folder: str = "mlperf-logs"

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return self.mlperf is not None

    @property
    def modes(self) -> list[str]:
        """Raises UsageError for what is no mode."""
        return parse.choices(self.mode, "--mlperf-mode", MODES)

    @property
    def judged(self) -> bool:
        """Whether answers are compared with the reference, for which the model is needed."""
        return self.wanted and ACCURACY in self.modes

    @property
    def runs(self) -> list[tuple[str, str]]:
        """Every (scenario, mode). Raises UsageError for what is none."""
        return [(scenario, mode) for mode in self.modes for scenario in scenarios(self.mlperf or "")]

    def check(self) -> None:
        """Raises UsageError for what cannot be meant and EdgetuneError for what cannot be done, before any work."""
        if self.mlperf is None:
            if self != LoadOptions():
                raise UsageError("--mlperf-mode, --mlperf-full and --mlperf-logs are for --mlperf SCENARIOS")
            return
        _ = self.runs
        from compiler.bench.mlperf.loadgen import must_be_installed

        must_be_installed()
        make_folder(Path(self.folder), "--mlperf-logs")


def under_load(
    report: BenchReport, subject: Subject, options: BenchOptions, step: Steps, place: Place
) -> Iterator[BenchReport]:
    """`report` with what LoadGen makes of the package: again after each run, with all so far.

    The package is loaded anew, in LoadGen's process, so no session may hold the board. Raises EdgetuneError where a run
    fails.
    """
    if not options.load.wanted:
        return
    from compiler.bench.mlperf.load import measure_load
    from compiler.bench.mlperf.order import Data
    from compiler.bench.mlperf.warnings import load_warnings

    package, model = subject
    own, *others = report.results
    for whole in measure_load(
        package,
        runs=options.load.runs,
        duration=_duration(options),
        data=Data(options.data.dataset, options.data.images, options.seed),
        logs=Path(options.load.folder),
        way=place.way,
        threads=options.threads,
        model=model,
        judging_threads=own.threads,
        say=step,
    ):
        loaded = msgspec.structs.replace(own, mlperf=whole, warnings=[*own.warnings, *load_warnings(whole)])
        yield dataclasses.replace(report, results=(loaded, *others))


def _duration(options: BenchOptions) -> Duration:
    """Of --seconds and --runs what the user gave: their defaults are for our own protocol."""
    from compiler.bench.mlperf.order import Duration

    return Duration(
        full=options.load.full,
        seconds=options.seconds if "seconds" in options.given else None,
        queries=options.runs if "runs" in options.given else None,
    )
