"""One small batch, made once: what the tests of this folder carry to and fro."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import targets
from compiler.frontend import Model
from compiler.records.store import Store, open_store
from compiler.tuning.offline.export import Exported, export_batch
from compiler.tuning.offline.measuring import measure_batch
from compiler.tuning.workers import Pool
from tests.tuning import models

TARGET = targets.get("native", 1)
FINGERPRINT = targets.fingerprint(TARGET)
TRIALS = 12


@dataclass(frozen=True)
class Carried:
    """A batch of `TRIALS` candidates, the store that sent it out, and the results of measuring it here."""

    model: Model
    exported: Exported
    store: Path
    batch: Path
    results: Path


@pytest.fixture(scope="session")
def offline_pool() -> Iterator[Pool]:
    with Pool(2, 1) as made:
        yield made


@pytest.fixture(scope="session")
def carried(tmp_path_factory: pytest.TempPathFactory, offline_pool: Pool) -> Carried:
    folder = tmp_path_factory.mktemp("carried")
    model = models.convolutions(folder)
    with open_store(folder / "store") as store:
        exported = export_batch(
            model,
            TARGET,
            folder / "batch.tar",
            store=store,
            fingerprint=FINGERPRINT,
            trials=TRIALS,
            builder=offline_pool,
        )
    measure_batch(folder / "batch.tar", folder / "results.jsonl", lambda tally: None)
    return Carried(model, exported, folder / "store", folder / "batch.tar", folder / "results.jsonl")


@pytest.fixture
def store(carried: Carried, tmp_path: Path) -> Iterator[Store]:
    """A store of the test's own, which has sent the batch out."""
    shutil.copytree(carried.store, tmp_path / "store")
    with open_store(tmp_path / "store") as opened:
        yield opened
