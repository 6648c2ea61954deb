"""What `--mlperf` and the options beside it mean, and what is refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.bench.mlperf.scenarios import scenarios
from compiler.commands.mlperf import LoadOptions
from compiler.errors import EdgetuneError, UsageError


def test_scenarios_have_mlperfs_names() -> None:
    assert scenarios("SingleStream,Offline") == ["SingleStream", "Offline"]
    assert scenarios("offline, single-stream,multi_stream,OFFLINE") == ["Offline", "SingleStream", "MultiStream"]
    for wrong in ("Server", "", "SingleStream,"):
        with pytest.raises(UsageError, match="is none of SingleStream, MultiStream, Offline"):
            scenarios(wrong)


def test_runs_are_mode_by_mode() -> None:
    options = LoadOptions(mlperf="Offline,SingleStream", mode="performance,accuracy")
    assert options.runs == [
        ("Offline", "performance"),
        ("SingleStream", "performance"),
        ("Offline", "accuracy"),
        ("SingleStream", "accuracy"),
    ]
    assert options.judged
    assert not LoadOptions(mlperf="Offline").judged
    assert not LoadOptions(mode="accuracy").judged


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LoadOptions().check()
    with pytest.raises(UsageError, match="are for --mlperf SCENARIOS"):
        LoadOptions(full=True).check()
    with pytest.raises(UsageError, match="'submission' is none of performance, accuracy"):
        LoadOptions(mlperf="Offline", mode="submission").check()
    monkeypatch.setattr("compiler.bench.mlperf.loadgen.find_spec", lambda name: None)
    with pytest.raises(EdgetuneError, match=r"pip install 'edgetune\[mlperf\]'"):
        LoadOptions(mlperf="Offline", folder=str(tmp_path / "logs")).check()
    assert not (tmp_path / "logs").exists()
