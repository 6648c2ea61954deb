"""What a result keeps of a run under MLPerf's load."""

from __future__ import annotations

from msgspec import Struct

from compiler.bench.classified import Classification
from compiler.packaging.manifest import Accuracy

UNOFFICIAL = "not verified by MLCommons"
"""What must stand beside figures that did not pass MLPerf's review."""


class QueryLatency(Struct, frozen=True, kw_only=True):
    """Milliseconds from a query's issue until the last of its samples is answered, by LoadGen's clock.

    `judged` is the percentile that the scenario is judged by; `early_stopping` LoadGen's estimate of the same from
    above, which a submission would quote, None where it had too few queries; `computing` the same percentile of the
    time that the package's runs took within a query, by our own clock. What is left is LoadGen's, and the putting
    together of batches.
    """

    judged: float
    mean: float
    min: float
    max: float
    p50: float
    p90: float
    p99: float
    early_stopping: float | None
    computing: float


class Transfers(Struct, frozen=True, kw_only=True):
    """What was carried between this machine and a board, before queries were timed and while they were."""

    before_bytes: int
    before_seconds: float
    within_bytes: int
    within_seconds: float


class MlperfRun(Struct, frozen=True, kw_only=True):
    """One scenario in one mode. `folder` holds LoadGen's logs of it.

    `verdict` is LoadGen's own, VALID or INVALID, and `why` its reasons; accuracy mode has none. `short` says that the
    run was asked to be shorter than MLPerf's rules have it (`official_seconds`, `official_queries`; in Offline queries
    are samples); None in accuracy mode, which takes all samples. `latency_ms` is None in Offline, `samples_per_s` and
    `seconds` in accuracy mode. Of the `batches` that the package ran, `gathered` were put together while they were
    timed; `padded` samples were computed only to fill a batch up. `errors` are those that LoadGen logged.

    Accuracy mode has `accuracy` (random inputs) or `classification` (a data set), judged from the log of the answers.
    """

    scenario: str
    mode: str
    folder: str
    verdict: str | None
    why: list[str]
    short: bool | None
    queries: int | None
    samples: int
    samples_per_query: int
    seconds: float | None
    min_seconds: float
    min_queries: int
    official_seconds: float
    official_queries: int
    percentile: int | None
    latency_ms: QueryLatency | None
    samples_per_s: float | None
    batches: int
    padded: int
    gathered: int
    transfers: Transfers | None
    errors: list[str]
    accuracy: Accuracy | None = None
    classification: Classification | None = None

    @property
    def agreement(self) -> float | None:
        """The share of samples with the same first class as the reference; None where there is none."""
        if self.classification is not None:
            return self.classification.agreement
        return None if self.accuracy is None else self.accuracy.top1_agreement

    @property
    def right(self) -> bool | None:
        """Whether the answers were near enough to the reference's; None in performance mode."""
        if self.classification is not None:
            return self.classification.ok
        return None if self.accuracy is None else self.accuracy.ok


class Mlperf(Struct, frozen=True, kw_only=True):
    """All runs of a package. `samples` are in the library, of which `resident` are in memory at a time.

    `timed` says in words what a query's latency is made of.
    """

    loadgen: str
    review: str = UNOFFICIAL
    data: str
    samples: int
    resident: int
    timed: str
    folder: str
    started: str
    runs: list[MlperfRun]
