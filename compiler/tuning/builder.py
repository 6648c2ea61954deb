"""Where candidates are built: this machine's cores, or anything else that keeps this interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from compiler.tuning.workers import Outcome

Done = Callable[[int, Outcome], None]
"""Told of each outcome as soon as it is known, with the position of its job; on whatever thread."""


class Builder(Protocol):
    """Builds candidates, several at a time. `compiler.tuning.workers.Pool` is one."""

    @property
    def parallel(self) -> int:
        """How many builds it has under way at a time."""
        ...

    def map(
        self,
        kind: str,
        jobs: Sequence[dict[str, Any]],
        timeout: float,
        stop: Callable[[], bool] | None = None,
        done: Done | None = None,
    ) -> list[Outcome]:
        """Outcomes of `jobs` of a `kind` of compiler/tuning/worker (`build`), in their order.

        A job that takes longer than `timeout` seconds is given up. Once `stop` says so no further job is begun; those
        left out have the error `not run`. The libraries lie at this machine, in the files that the jobs name.
        """
        ...

    def abandon(self) -> None:
        """End the jobs under way at once: another thread, which is in `map`, gets them back as failed."""
        ...
