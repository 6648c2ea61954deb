"""What a process that measures on a board can be asked for: the agent's `edgetune.measure`, without the agent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compiler.errors import EdgetuneError


def jobs() -> dict[str, Callable[..., Any]]:
    """The jobs by name, with TVM's runtime loaded; raises what loading it raises."""
    from compiler.runtime.agent.template import load_runtime

    load_runtime()
    return {"ready": lambda: True, "measure": measure}


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """`seconds` of each repeat of a job of `edgetune.measure`, whose library is an absolute path; or `error`, one
    line."""
    from compiler.runtime.agent.functions.files import Files
    from compiler.runtime.agent.functions.measure import Measure

    try:
        return dict(Measure(Files(Path(job["library"]).parent))(json.dumps(job)))
    except EdgetuneError as error:
        return {"error": str(error)}
