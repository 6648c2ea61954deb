"""Why a session on a board has ended: did the candidate crash it, or is the board gone?"""

from __future__ import annotations

import time

from compiler.errors import EdgetuneError
from compiler.runtime.rpc.address import Address
from compiler.runtime.rpc.dial import ask_status

CRASHED = "crashed the session on the board"
_SLACK_SECONDS = 2.0
_TIME_LIMIT = "time limit"


def why_ended(address: Address, opened: float) -> str | None:
    """The reason to record for the candidate that a session, open since `opened` (`time.monotonic`), ended with.

    None where it was not the candidate's fault: the agent does not answer, it was started anew meanwhile, or the
    session has reached the agent's limit.
    """
    try:
        status = ask_status(address)
    except EdgetuneError:
        return None
    uptime, failure = status.get("uptime_s"), status.get("last_failure")
    if isinstance(uptime, int | float) and uptime + _SLACK_SECONDS < time.monotonic() - opened:
        return None
    if failure == _TIME_LIMIT:
        return None
    return f"{CRASHED} ({failure})" if isinstance(failure, str) and failure else CRASHED


def answers(address: Address) -> bool:
    """Whether an agent answers there."""
    try:
        ask_status(address)
    except EdgetuneError:
        return False
    return True
