"""`edgetune bench --power-csv`: where the power of a measurement comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import EdgetuneError, UsageError

if TYPE_CHECKING:
    from compiler.bench.power.meter import Meter
    from compiler.bench.run import BenchReport
    from compiler.package import Manifest
    from compiler.runtime.rpc.session import RemoteSession
    from compiler.runtime.session import LocalSession


@dataclass(frozen=True)
class PowerOptions:
    """`--power-csv` and `--power-offset`, as the command line gives them."""

    csv: str | None = None
    offset: float = 0.0

    def check(self) -> None:
        """Raises UsageError for a log that is none, before anything is measured."""
        if not math.isfinite(self.offset):
            raise UsageError("--power-offset is a number of seconds")
        if self.csv is None:
            if self.offset:
                raise UsageError("--power-offset is for --power-csv FILE")
            return
        from compiler.bench.power.external import must_be_log

        must_be_log(self.csv, self.offset)

    def meter(self, session: LocalSession | RemoteSession, manifest: Manifest) -> Meter:
        """The meter's log, or else the sensors of whatever `session` runs on."""
        from compiler.bench.power.board import BoardMeter
        from compiler.bench.power.external import ExternalMeter
        from compiler.bench.power.meter import LocalMeter
        from compiler.runtime.outputs import device_kind
        from compiler.runtime.session import LocalSession

        board = None if isinstance(session, LocalSession) else session.connection
        if self.csv is not None:
            return ExternalMeter(Path(self.csv), self.offset, board)
        gpu = device_kind(manifest) != "cpu"
        return LocalMeter(gpu) if board is None else BoardMeter(board, gpu)

    def refusal(self, report: BenchReport) -> EdgetuneError | None:
        """What is to be said at the end, where a meter's log was given and says nothing of our engine."""
        power = report.results[0].power
        if self.csv is None or power is None or power.reason is None:
            return None
        return EdgetuneError(f"power was not measured: {power.reason}")
