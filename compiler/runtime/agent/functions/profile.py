"""`edgetune.profile`: the kernels of a model that is loaded here, timed one by one."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from compiler.errors import EdgetuneError
from compiler.runtime.device_events import events_of
from compiler.runtime.instrument import record_runs

_MOST_RUNS = 10_000


class ProfileJob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """`function` of the model, whose inputs are set; how many `runs`, and whether others warm it up; the `device`."""

    function: str = "main"
    runs: int = 1
    warm_up: bool = True
    device: str = "cpu"


def profile(machine: Any, text: str) -> dict[str, Any]:
    """Record runs on the virtual machine `machine`, as JSON of `compiler.runtime.instrument.Recorded` has it.

    Raises EdgetuneError for what is no job.
    """
    import tvm

    try:
        job = msgspec.json.decode(text.encode(), type=ProfileJob)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise EdgetuneError(f"this is no job: {' '.join(str(error).split())}") from None
    if job.device not in ("cpu", "cuda") or not 1 <= job.runs <= _MOST_RUNS:
        raise EdgetuneError(f"this is no job: cpu or cuda, and 1 to {_MOST_RUNS} runs")
    device = tvm.device(job.device)
    run = machine["invoke_stateful"]
    recorded = record_runs(
        machine,
        lambda: run(job.function),
        device.sync,
        job.runs,
        warm_up=job.warm_up,
        events=events_of(job.device),
    )
    return dict(msgspec.to_builtins(recorded))
