"""`edgetune.measure`: the desk's measurement of a candidate, made here."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from compiler.errors import EdgetuneError
from compiler.runtime.agent.functions.files import Files
from compiler.runtime.agent.identity import memory_bytes
from compiler.runtime.measure.arguments import COLD_BYTES
from compiler.runtime.measure.candidate import measure
from compiler.runtime.threads import compute_cpus


class Job(Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What is measured: the uploaded `library`, shapes and dtypes of its `main`'s `arguments`, the positions of its
    `weights`; times in seconds."""

    library: str
    arguments: list[tuple[list[int], str]]
    weights: list[int] = []
    repeats: int = 3
    repeat_seconds: float = 0.015
    give_up: float | None = None
    threads: int | None = None
    device: str = "cpu"


class Measure:
    """Measures one job after another; what the measurements share is kept in between."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def __call__(self, text: str) -> dict[str, Any]:
        """The seconds a call of each repeat. Raises EdgetuneError for what is no job, and where an output holds NaN."""
        try:
            job = msgspec.json.decode(text.encode(), type=Job)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise EdgetuneError(f"this is no job: {' '.join(str(error).split())}") from None
        with self._files.fresh(job.library) as library:
            seconds = self._seconds(job, library)
        return {"seconds": seconds}

    def _seconds(self, job: Job, library: str) -> list[float]:
        memory = memory_bytes()
        return measure(
            library,
            [(tuple(shape), dtype) for shape, dtype in job.arguments],
            job.weights,
            job.repeats,
            job.repeat_seconds,
            job.give_up,
            cpus=compute_cpus(job.threads) if job.threads is not None else (),
            device=job.device,
            cold_bytes=COLD_BYTES if memory is None else min(COLD_BYTES, memory // 8),
        )
