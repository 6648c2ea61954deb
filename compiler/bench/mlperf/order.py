"""What the process that LoadGen runs in is told to do, and what it tells. Both travel pickled."""

from __future__ import annotations

from dataclasses import dataclass, field

from compiler.bench.dataset import ImageOptions
from compiler.bench.mlperf.outcome import Transfers
from compiler.runtime.rpc.address import Way


@dataclass(frozen=True)
class Data:
    """What samples are taken from: `dataset`, or random inputs from `seed` on."""

    dataset: str | None = None
    images: ImageOptions = field(default_factory=ImageOptions)
    seed: int = 0


@dataclass(frozen=True)
class Duration:
    """`full` is what MLPerf's rules ask for; else `seconds` and `queries` at least, None being LoadGen's defaults."""

    full: bool = False
    seconds: float | None = None
    queries: int | None = None


@dataclass(frozen=True)
class Order:
    """A package, where it runs (`way` None: on this machine) and with how many threads, and the runs to make of it.

    Each of `runs` is (scenario, mode, folder); the folders are there.
    """

    package: str
    way: Way | None
    threads: int | None
    data: Data
    duration: Duration
    runs: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Step:
    """What begins now, in words."""

    text: str


@dataclass(frozen=True)
class Ready:
    """The package is loaded; see `Mlperf`."""

    loadgen: str
    data: str
    samples: int
    resident: int
    timed: str


@dataclass(frozen=True)
class Ran:
    """A run has ended, and its logs are whole; see `MlperfRun`. `computing` has the seconds of each query."""

    scenario: str
    mode: str
    folder: str
    min_seconds: float
    min_queries: int
    official_seconds: float
    official_queries: int
    batches: int
    padded: int
    gathered: int
    transfers: Transfers | None
    computing: tuple[float, ...]


@dataclass(frozen=True)
class Failed:
    """Nothing more comes; `line` says why, `usage` whether the user asked for what cannot be."""

    line: str
    usage: bool = False


GO = "go on"
"""What the process waits for before each run: nothing else may compute meanwhile."""

Message = Step | Ready | Ran | Failed
