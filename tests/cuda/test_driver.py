"""Drivers that are too old for the CUDA that TVM was built with."""

from __future__ import annotations

import pytest

import targets
from compiler.cuda import runtime
from compiler.errors import EdgetuneError
from compiler.tuning import tune
from compiler.tuning.tune import Budget


@pytest.mark.parametrize(("version", "old"), [(None, False), (12080, True), (13000, False), (13020, False)])
def test_a_driver_for_another_cuda_is_named(monkeypatch: pytest.MonkeyPatch, version: int | None, old: bool) -> None:
    monkeypatch.setattr(runtime, "driver_version", lambda: version)
    reason = runtime.why_driver_is_too_old()
    assert (reason is not None) is old
    assert reason is None or ("CUDA 12.8" in reason and "580 or newer" in reason)


def test_nothing_is_loaded_or_tuned_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "driver_version", lambda: 12040)
    runtime.load_to_run.cache_clear()  # another test may have loaded it
    with pytest.raises(EdgetuneError, match="CUDA 12.4"):
        runtime.load_to_run()
    monkeypatch.setattr(targets, "why_not_run", lambda target: None)
    with pytest.raises(EdgetuneError, match="CUDA 12.4"):
        tune.tune(None, targets.get("cuda-sm90"), store=None, budget=Budget(trials=1))  # type: ignore[arg-type]


def test_a_tvm_of_another_cuda_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "driver_version", lambda: 12040)
    monkeypatch.setattr(runtime, "_RUNTIME_13", b"libcudart.so.99")
    assert runtime.why_driver_is_too_old() is None
