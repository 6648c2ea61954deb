"""Reading LoadGen's logs: figures, verdicts with their reasons, answers, and logs that are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from compiler.bench.mlperf.logs import ANSWERS, DETAIL, Detail, answers
from compiler.errors import EdgetuneError
from compiler.tensors import TensorSpec


def line(key: str, value: object, error: bool = False) -> str:
    """As LoadGen 6 writes it."""
    entry = {
        "key": key,
        "value": value,
        "time_ms": 1.0,
        "namespace": "mlperf::logging",
        "event_type": "POINT_IN_TIME",
        "metadata": {"is_error": error, "is_warning": False, "file": "results.cc", "line_no": 1, "pid": 1, "tid": 1},
    }
    return f":::MLLOG {json.dumps(entry)}"


def test_a_verdict_has_loadgens_reasons(tmp_path: Path) -> None:
    (tmp_path / DETAIL).write_text(
        "\n".join(
            [
                line("result_validity", "INVALID"),
                line("result_invalid_reason", "Decrease the expected latency so the loadgen pre-generates more. "),
                line("early_stopping_met", False),
                line("early_stopping_result", " * Only processed 10 queries.  * Need to process at least 64 queries."),
                line("error_runtime", "Ending early: \n Ran out of queries", error=True),
                line("result_query_count", 10),
                ':::MLLOG {"key": "sut_name", "value": "a "quoted" name", "metadata": {}}',
                "something else",
            ]
        )
    )
    detail = Detail(tmp_path)
    assert detail.why == [
        "Decrease the expected latency so the loadgen pre-generates more.",
        "Only processed 10 queries. Need to process at least 64 queries.",
    ]
    assert detail.errors == ["Ending early: Ran out of queries"]
    assert detail.number("result_query_count") == 10
    with pytest.raises(EdgetuneError, match="did not come to its end"):
        detail.number("result_samples_per_second")


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EdgetuneError, match="LoadGen left no log"):
        Detail(tmp_path)
    with pytest.raises(EdgetuneError, match="LoadGen left no log"):
        answers(tmp_path, [], 1)


def test_answers_are_outputs_again(tmp_path: Path) -> None:
    specs = [TensorSpec("a", (4, 3), "float32"), TensorSpec("b", (4,), "int64")]
    first, second = np.arange(3, dtype=np.float32), np.array([7], dtype=np.int64)
    data = (first.tobytes() + second.tobytes()).hex().upper()
    (tmp_path / ANSWERS).write_text(json.dumps([{"seq_id": 0, "qsl_idx": 5, "data": data}]))
    (found,) = answers(tmp_path, specs, 4).items()
    assert found[0] == 5
    assert found[1]["a"].tolist() == [[0, 1, 2]]
    assert found[1]["b"].tolist() == [7]
    for bad, reason in (
        ("[", "cannot be read"),
        ('[{"qsl_idx": 1}]', "cannot be read"),
        ('[{"qsl_idx": 1, "data": "00"}]', "has 1 bytes, not 20"),
    ):
        (tmp_path / ANSWERS).write_text(bad)
        with pytest.raises(EdgetuneError, match=reason):
            answers(tmp_path, specs, 4)
