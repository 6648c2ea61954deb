"""Traces that were seen before, recognised by their bytes: candidates of one kernel share nearly all instructions.

What is accepted here passes `trace_rules.check_trace` and is canonical JSON. What is not recognised has been refused by
nobody: the full check decides, and says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from compiler.errors import EdgetuneError
from compiler.records.canonical import canonical_bytes, parse_strict
from compiler.records.trace_rules import MAX_INTEGER, SAMPLES, check_instruction

# Each state holds all variables before it: what is longer than any real trace would fill the memory with them.
MOST_INSTRUCTIONS = 512
MOST_BYTES = 64 << 10
MOST_HELD = 2_000_000

_Integer = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
_decisions = msgspec.json.Decoder(list[tuple[int, _Integer | list[_Integer]]])
# In canonical form: [[["Name",inputs,attributes,[outputs]],["Name",...]],decisions]
_BEGIN, _BETWEEN, _END, _DECIDED = b'[[["', b']],["', b"]]]", b"]]],["
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, eq=False)
class _State:
    """What the rules look back at: how many instructions there were, the variables that are defined, and the
    instructions that wait for a decision. `following`: the state after an instruction's bytes."""

    count: int
    defined: Mapping[str, bool]
    sampled: frozenset[int]
    following: dict[bytes, _State] = field(default_factory=dict)


class KnownTraces:
    """Checks traces by walking from state to state, one instruction's bytes after the other.

    So an instruction is checked once for each state that it was met in, and a list of instructions once. Memory is
    bounded: when a table is full it is begun anew.
    """

    def __init__(self, states: int = 4_000, lists: int = 50_000) -> None:
        self._most_states = states
        self._most_lists = lists
        self._lists: dict[bytes, frozenset[int]] = {}
        self._forget()

    def accepts(self, trace: bytes) -> bool:
        """Whether the trace is canonical JSON and surely keeps all rules; False where that takes a full check."""
        # A search for bytes does not know what lies within lists and texts. Where it cuts at a wrong place, what it
        # cuts out is no instruction, or no list of decisions; what is both is the trace, since nothing is left out.
        end = trace.rfind(_DECIDED) + len(_END)
        if end < len(_END) or not trace.startswith(_BEGIN):
            return False
        try:
            decisions = _decisions.decode(trace[end + 1 : -1])
            if trace[end:] != b"," + _encode(decisions) + b"]":
                return False
            text = trace[len(_BEGIN) : end - len(_END)]
            key = hashlib.sha256(text).digest()  # a hundred bytes for each list, whatever its length
            sampled = self._lists.get(key)
            if sampled is None:
                sampled = self._walk(text)
                if sampled is None:
                    return False
                if len(self._lists) >= self._most_lists:
                    self._lists.clear()
                self._lists[key] = sampled
        except (msgspec.MsgspecError, EdgetuneError, RecursionError, UnicodeError):
            return False
        decided = {index for index, _ in decisions}
        return decided == sampled and len(decided) == len(decisions)

    def _walk(self, text: bytes) -> frozenset[int] | None:
        """The instructions that need a decision; `text` is that of all, without the brackets and the quote before the
        first and the brackets behind the last. None for more than any real trace has.

        Raises EdgetuneError or msgspec's errors where one is not allowed, or not in canonical form.
        """
        parts = text.split(_BETWEEN)
        if len(parts) > MOST_INSTRUCTIONS or len(text) > MOST_BYTES:
            return None
        if len(self._states) >= self._most_states or self._held > MOST_HELD:
            self._forget()
        state = self._start
        for part in parts:
            state = state.following.get(part) or self._step(state, part)
        return state.sampled

    def _step(self, state: _State, part: bytes) -> _State:
        whole = b'["' + part + b"]]"
        instruction = parse_strict(whole)
        if canonical_bytes(instruction) != whole:
            raise EdgetuneError("not in canonical form")
        defined = dict(state.defined)
        check_instruction(instruction, defined)
        sampled = state.sampled | {state.count} if instruction[0] in SAMPLES else state.sampled
        identity = (state.count + 1, frozenset(defined.items()), sampled)
        after = self._states.setdefault(identity, _State(state.count + 1, defined, sampled))
        state.following[part] = after
        self._held += len(defined) + len(part)
        return after

    def _forget(self) -> None:
        self._start = _State(0, {}, frozenset())
        self._states: dict[tuple[object, ...], _State] = {}
        self._held = 0  # variables and bytes in all states
