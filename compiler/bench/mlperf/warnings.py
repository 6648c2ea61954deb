"""What a reader of a result must know of its runs under MLPerf's load."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.bench.mlperf.outcome import Mlperf, MlperfRun
from compiler.bench.mlperf.scenarios import OFFLINE, PERFORMANCE


def load_warnings(whole: Mlperf) -> list[str]:
    """Sentences, each once."""
    return list(dict.fromkeys(text for run in whole.runs for text in _of(run)))


def _of(run: MlperfRun) -> Iterator[str]:
    name = f"MLPerf {run.scenario}"
    if run.short:
        what = "samples" if run.scenario == OFFLINE else "queries"
        yield (
            f"{name}: a short run, of {run.min_seconds:g} s and {run.min_queries} {what} at least where the rules ask "
            f"for {run.official_seconds:g} s and {run.official_queries}"
        )
    if run.verdict is not None and run.verdict != "VALID":
        yield f"{name} is {run.verdict}: {' '.join(run.why)}"
    for error in run.errors:
        yield f"{name}: LoadGen logged an error: {error[:200]}"
    if run.padded and run.mode == PERFORMANCE:
        yield (
            f"{name}: {run.padded} samples were computed only to fill up batches of the package, beside "
            f"{run.samples} that were asked for"
        )
    if run.gathered > run.batches / 10 and run.mode == PERFORMANCE:
        sent = " and sent to the board" if run.transfers is not None else ""
        yield f"{name}: {run.gathered} of {run.batches} batches were put together{sent} while they were timed"
    if run.right is False:
        problems = run.classification.problems if run.classification is not None else []
        yield f"{name}: the answers are not near enough to the reference's" + "".join(f"; {p}" for p in problems)
