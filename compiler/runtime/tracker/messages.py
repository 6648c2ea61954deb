"""What may be said to the tracker. TVM's own handler takes what comes, and would hand it on to everybody who asks."""

from __future__ import annotations

import json
from typing import Any

from compiler.runtime.rpc.wire import WireError

# TrackerCode in python/tvm/rpc/base.py.
PING = 1
STOP = 2
PUT = 3
REQUEST = 4
UPDATE_INFO = 5
SUMMARY = 6
GET_PENDING_MATCHKEYS = 7

MAX_MESSAGE = 1 << 20
_MAX_TEXT = 1024
_MAX_INFO = 1 << 18
_MAX_DEPTH = 16


def check(message: Any) -> list[Any]:
    """`message` where it is one that TVM's handler can take. Raises WireError otherwise."""
    if not isinstance(message, list) or not message or not isinstance(message[0], int):
        raise WireError("it is no list that begins with a code")
    code, *arguments = message
    good = {
        PING: lambda: True,
        STOP: lambda: _text(arguments[0]),
        PUT: lambda: _put(*arguments),
        REQUEST: lambda: _request(*arguments),
        UPDATE_INFO: lambda: _info(arguments[0]),
        SUMMARY: lambda: True,
        GET_PENDING_MATCHKEYS: lambda: True,
    }.get(code)
    try:
        if good is not None and good():
            return message
    except (TypeError, ValueError, IndexError, KeyError):
        pass
    raise WireError(f"what it says with code {code} cannot be")


def _put(key: Any, offer: Any, host: Any = None) -> bool:
    port, match_key = offer
    # TVM finds the queue of an offer by what stands before the last colon.
    known = _text(key) and _text(match_key) and match_key.rpartition(":")[0] == key
    return known and _port(port) and (host is None or _text(host))


def _request(key: Any, user: Any, priority: Any) -> bool:
    return _text(key) and _text(user) and isinstance(priority, int) and abs(priority) < 1 << 31


def _info(info: Any) -> bool:
    host, port = info["addr"]
    return (
        isinstance(info, dict)
        and isinstance(info["addr"], list)
        and _text(info["key"])
        and (host is None or _text(host))
        and _port(port)
        and _shallow(info, _MAX_DEPTH)
        and len(json.dumps(info)) <= _MAX_INFO
    )


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT


def _port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 16


def _shallow(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(_shallow(one, depth - 1) for one in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_shallow(one, depth - 1) for one in value)
    return True
