"""What tests of tuning share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.frontend import Model
from compiler.records.store import Store, open_store
from tests.tuning import models


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A small model with kernels of several kinds (see models.convolutions)."""
    return models.convolutions(tmp_path_factory.mktemp("model"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store, in the test's own folder."""
    with open_store(tmp_path) as opened:
        yield opened
