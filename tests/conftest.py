"""What holds for every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from compiler.tuning import limits
from tests.waiting import PATIENT_SECONDS

# How long an example takes is not what is tested, and a machine may be slow; the same examples are tried each time.
settings.register_profile("edgetune", deadline=None, derandomize=True)
settings.load_profile("edgetune")

# A test sees the records that it makes; those that come with edgetune for this machine would be among them. Set before
# any test module reads the environment, and for the commands that tests start.
os.environ["EDGETUNE_NO_SHIPPED_LOGS"] = "1"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that takes longer to build or to measure than it may fails; on a machine that is held up, a good one
    too."""
    for name in ("BUILD_SECONDS", "MEASURE_SECONDS", "BOARD_MEASURE_SECONDS", "BOARD_CHECK_SECONDS"):
        monkeypatch.setattr(limits, name, 2 * PATIENT_SECONDS)


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, in here and in the commands started from here, also where the tests themselves
    run in the background of a shell that has it ignored.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
