"""Results as JSON text: what every client of TVM's RPC can receive."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def as_json(function: Callable[..., Any]) -> Callable[..., str]:
    """`function` with its result as JSON."""

    def call(*arguments: Any) -> str:
        return json.dumps(function(*arguments), allow_nan=False)

    return call
