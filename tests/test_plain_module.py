"""A module for plain TVM is refused where none can be made."""

from __future__ import annotations

from pathlib import Path

import pytest

import targets
from compiler.errors import UsageError
from compiler.plain_module import plain_module
from compiler.records.store import open_store
from tests.tuning import models


def test_gpus_are_refused_in_a_line(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, pytest.raises(UsageError, match="cuda-sm90 is a GPU: leave out --model"):
        plain_module(models.convolutions(tmp_path), targets.get("cuda-sm90"), store, "f")
