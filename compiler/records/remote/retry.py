"""A second try, later, for what may have been a passing failure."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from compiler.records.remote.remote import TransientError

ATTEMPTS = 4
FIRST_PAUSE_S = 0.5
"""It doubles with each further one; a random half of it keeps many clients from coming back together."""

_T = TypeVar("_T")


def retrying(work: Callable[[], _T]) -> _T:
    """What `work` returns; a TransientError is met with another try, ATTEMPTS in all."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return work()
        except TransientError as error:
            if error.tried:
                raise
            time.sleep(FIRST_PAUSE_S * 2**attempt * (0.5 + random.random() / 2))  # noqa: S311 - no secret
    return work()
