"""Compiled models run on real threads of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import targets
from compiler.runtime.threads import ComputeThread


@pytest.fixture(scope="module")
def threads() -> Iterator[ComputeThread]:
    made = ComputeThread(min(2, targets.get("native").cores))
    yield made
    made.close()
