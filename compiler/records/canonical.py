"""The one JSON text of a value: sorted keys, no blanks, UTF-8. Ids and exported lines rest on it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import msgspec

from compiler.errors import EdgetuneError

MAX_DEPTH = 24
"""Deepest nesting of any JSON value that is read; a real trace needs 5."""
_LINE_AND_BIDI = frozenset("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_PRINTABLE = bytes(range(32, 127))
_DIGITS = bytes(48 if 48 <= byte < 58 else 32 for byte in range(256))  # each digit a "0", all else a blank
_LONG = b"0" * 19
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def canonical_bytes(value: Any) -> bytes:
    """Encodes `value` (JSON types only, finite numbers: see `check_json`) with sorted keys and no blanks."""
    return msgspec.json.encode(value, order="sorted")


def canonical_json(value: Any) -> str:
    """As `canonical_bytes`, as text, after `check_json`."""
    check_json(value, "value")
    return canonical_bytes(value).decode("utf-8")


def check_json(value: Any, what: str, depth: int = MAX_DEPTH, *, controls: bool = False) -> None:
    """Raises EdgetuneError unless `value` is made of JSON types, not nested deeper than `depth`, with numbers in range.

    Text must be without control characters (see `check_text`), unless `controls`.
    """
    if value is None or isinstance(value, bool):
        return
    if type(value) is str:  # a subclass (TVM's String) is no JSON to the encoder
        if not controls:
            check_text(value, what)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise EdgetuneError(f"{what} holds an integer beyond 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise EdgetuneError(f"{what} holds a number that is not finite")
    elif depth <= 0:
        raise EdgetuneError(f"{what} is nested too deeply")
    elif isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str:
                raise EdgetuneError(f"{what} has a key that is not text")
            check_text(key, what)
            check_json(item, what, depth - 1, controls=controls)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_json(item, what, depth - 1, controls=controls)
    else:
        raise EdgetuneError(f"{what} holds a {type(value).__name__}, which is not JSON")


def check_text(value: str, what: str) -> None:
    """Raises EdgetuneError for control characters and for text that UTF-8 cannot hold; both have no place in a log."""
    if value.isprintable():  # the fast and usual way out; lone surrogates are not printable
        return
    for char in value:
        if ord(char) < 32 or 127 <= ord(char) < 160:
            raise EdgetuneError(f"{what} holds a control character (U+{ord(char):04X})")
        if 0xD800 <= ord(char) < 0xE000:
            raise EdgetuneError(f"{what} holds half of a surrogate pair")
        if char in _LINE_AND_BIDI:  # would break or reorder the line in which a table or an error shows it
            raise EdgetuneError(f"{what} holds a line or direction control (U+{ord(char):04X})")


def parse_strict(line: bytes, *, controls: bool = False) -> Any:
    """Parses one JSON value and refuses what two readers could understand differently.

    Returns the value; raises EdgetuneError for bad UTF-8 or JSON, duplicate keys, NaN and infinities, huge integers,
    nesting beyond MAX_DEPTH and, unless `controls`, control characters within text.
    """
    try:
        value = msgspec.json.decode(line)
        if canonical_bytes(value) == line:  # so there are no duplicate keys
            if _is_plain(line):
                return value
        else:
            value = json.loads(line, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (msgspec.MsgspecError, ValueError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise EdgetuneError(f"not valid JSON: {_one_line(str(error))}") from None
    except RecursionError:
        raise EdgetuneError("nested too deeply") from None
    check_json(value, "the line", controls=controls)
    return value


def _is_plain(line: bytes) -> bool:
    """Whether valid JSON surely passes `check_json`, seen from its bytes: a fiftieth of the time, and nearly always so.

    That is printable ASCII without escapes other than of quotes, no integers of 19 digits (msgspec itself refuses what
    is not finite), and brackets that cancel out within MAX_DEPTH rounds.
    """
    if line.translate(None, _PRINTABLE) or b"\\" in line.replace(b"\\\\", b"").replace(b'\\"', b""):
        return False
    digits = line.translate(_DIGITS)
    at = digits.find(_LONG)
    while at >= 0:
        if line[at - 1 : at] != b".":  # what follows a point is a fraction
            return False
        at = digits.find(_LONG, digits.find(b" ", at))
    brackets = line.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return True
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return not brackets


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise EdgetuneError(f"duplicate key {key[:60]!r}")
        result[key] = value
    return result


def _no_constant(name: str) -> Any:
    raise EdgetuneError(f"{name} is not a JSON number")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
