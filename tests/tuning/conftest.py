"""What tests of tuning share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.frontend import Model
from compiler.records.store import Store, open_store
from compiler.tuning import checking, session
from tests.tuning import models
from tests.waiting import PATIENT_SECONDS


@pytest.fixture(autouse=True)
def patient_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not checked in time stays unchecked; on a machine that is held up, all of it."""
    for module, name in ((checking, "BUILD_SECONDS"), (checking, "RUN_SECONDS"), (session, "CHECK_SECONDS")):
        monkeypatch.setattr(module, name, PATIENT_SECONDS)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A small model with kernels of several kinds (see models.convolutions)."""
    return models.convolutions(tmp_path_factory.mktemp("model"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store, in the test's own folder."""
    with open_store(tmp_path) as opened:
        yield opened
