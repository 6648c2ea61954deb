"""What tuning shows while it runs, and what it reports when it has ended."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TaskState:
    """One task as progress shows it. Times in seconds; `share` is its part of the model's estimated time, None while
    unknown.

    `used` is whether the model, as measured so far, uses this kernel (another algorithm may be faster for the layer).
    """

    index: int
    name: str
    hash: str
    calls: int
    flops: float | None = None
    trials: int = 0
    failed: int = 0
    best_seconds: float | None = None
    share: float | None = None
    used: bool = True
    last_error: str | None = None
    default_seconds: float | None = None

    @property
    def gflops(self) -> float | None:
        """Best rate so far, in 1e9 arithmetic operations a second."""
        if self.best_seconds is None or self.flops is None:
            return None
        return self.flops / self.best_seconds / 1e9


@dataclass
class TuneState:
    """A model's tuning at one moment; budgets and estimates are None where there is none. `phase` is a word or two."""

    tasks: list[TaskState]
    trials: int = 0
    failed: int = 0
    trial_budget: int | None = None
    seconds: float = 0.0
    time_budget: float | None = None
    latency_seconds: float | None = None
    phase: str = ""


@dataclass
class TuneSummary:
    """How tuning ended. `latency_seconds` is the sum of the best kernels over the model's layers: an estimate.

    `spent` says where the wall time went, in seconds by step. `resumed` counts trials of an interrupted run that this
    one went on from; they are part of `trials`.
    """

    tasks: list[TaskState]
    trials: int
    failed: int
    seconds: float
    latency_seconds: float | None
    ended: str
    interrupted: bool = False
    resumed: int = 0
    spent: dict[str, float] = field(default_factory=dict)
