"""The loads and modes that MLPerf Inference has for edge systems, by its own names."""

from __future__ import annotations

from compiler.errors import UsageError

SINGLE_STREAM = "SingleStream"
MULTI_STREAM = "MultiStream"
OFFLINE = "Offline"
SCENARIOS = (SINGLE_STREAM, MULTI_STREAM, OFFLINE)
"""One sample after the other; eight at a time; all at once."""

PERFORMANCE = "performance"
ACCURACY = "accuracy"
MODES = (PERFORMANCE, ACCURACY)

PERCENTILES = {SINGLE_STREAM: 90, MULTI_STREAM: 99}
"""The percentile of a query's latency that a scenario is judged by; Offline is judged by samples a second."""


def scenarios(text: str) -> list[str]:
    """`SingleStream,Offline` as a list of names, each once; `single-stream` and `single_stream` are understood too.

    Raises UsageError for what edge systems are not measured by.
    """
    known = {name.lower(): name for name in SCENARIOS}
    found = []
    for part in text.split(","):
        name = known.get(part.strip().lower().replace("-", "").replace("_", ""))
        if name is None:
            raise UsageError(f"--mlperf {text}: {part.strip()!r} is none of {', '.join(SCENARIOS)}")
        found.append(name)
    return list(dict.fromkeys(found))
