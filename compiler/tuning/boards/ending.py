"""Why a session on a board has ended: did the candidate crash it, or is the board gone?"""

from __future__ import annotations

import time
from typing import Any

from compiler.errors import EdgetuneError
from compiler.runtime.rpc.address import Address
from compiler.runtime.rpc.dial import ask_status

CRASHED = "crashed the session on the board"
_SLACK_SECONDS = 1.0
_SOON_SECONDS = 2.0
_REAP_SECONDS = 2.0  # for an agent to notice the end of a session
_NOT_THE_CANDIDATE = ("time limit", "agent")


def why_ended(address: Address, opened: float, failed_before: int | None = None) -> str | None:
    """The reason to record for the candidate that a session, open since `opened` (`time.monotonic`), ended with.

    `failed_before` is how many sessions had failed on the board when it began (`failed_sessions`). None where it was
    not the candidate's fault: the agent does not answer, it was started anew meanwhile, it failed itself, it knows of
    no failure (so the connection broke), or the session has reached the agent's limit.
    """
    deadline = time.monotonic() + _REAP_SECONDS
    while True:
        try:
            status = ask_status(address)
        except EdgetuneError:
            return None
        age = time.monotonic() - opened
        if _number(status.get("uptime_s")) + _SLACK_SECONDS < age:
            return None
        # The session that has ended may still be under way for its agent; another client's has just begun.
        under_way = status.get("session_seconds")
        if under_way is None or _number(under_way) + _SLACK_SECONDS < age or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    failure = status.get("last_failure")
    if failure in _NOT_THE_CANDIDATE or (failed_before is not None and status.get("failed_sessions") == failed_before):
        return None
    return f"{CRASHED} ({failure})" if isinstance(failure, str) and failure else CRASHED


def failed_sessions(address: Address) -> int | None:
    """How many sessions have failed on the board so far; None where it does not say."""
    try:
        failed = ask_status(address).get("failed_sessions")
    except EdgetuneError:
        return None
    return failed if isinstance(failed, int) else None


def answers(address: Address) -> bool:
    """Whether an agent answers there, soon."""
    try:
        ask_status(address, _SOON_SECONDS)
    except EdgetuneError:
        return False
    return True


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("inf")
