"""What holds for every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

# A test sees the records that it makes; those that come with edgetune for this machine would be among them. Set before
# any test module reads the environment, and for the commands that tests start.
os.environ["EDGETUNE_NO_SHIPPED_LOGS"] = "1"


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, in here and in the commands started from here, also where the tests themselves
    run in the background of a shell that has it ignored.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
