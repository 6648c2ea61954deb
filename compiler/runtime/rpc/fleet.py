"""Which boards there are: those of a tracker, or an agent that was named, each asked what it is and does."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import targets
from compiler.errors import EdgetuneError
from compiler.runtime.rpc import tracker
from compiler.runtime.rpc.address import Address
from compiler.runtime.rpc.dial import ask_status
from compiler.runtime.rpc.identity import Identity, board_device, board_fingerprint, board_target, decode_identity

_ASK_SECONDS = 3.0
_AT_ONCE = 32


@dataclass(frozen=True)
class Board:
    """A board as it was found: `reachable` from here or only known to its tracker; `status` is what its agent says
    (then: said when it registered), None where that is no agent of edgetune's. `name` is what the user calls it."""

    key: str
    address: Address
    reachable: bool
    status: dict[str, Any] | None
    name: str | None = None

    @property
    def identity(self) -> Identity | None:
        """What it is; None where it does not say so."""
        try:
            return decode_identity((self.status or {}).get("identity"))
        except EdgetuneError:
            return None

    @property
    def device(self) -> str | None:
        """Its GPU where it has one, else its CPU; None where it does not say."""
        identity = self.identity
        if identity is None:
            return None
        return identity.gpu.name if identity.gpu is not None else board_device(identity)

    @property
    def fingerprint(self) -> targets.Fingerprint | None:
        """Its fingerprint as what its CPU is; None where no target is that."""
        identity = self.identity
        try:
            return board_fingerprint(identity, board_target(identity)) if identity is not None else None
        except (EdgetuneError, targets.TargetError):
            return None


def find(address: Address) -> list[Board]:
    """The board whose agent listens at `address`, or the boards that the tracker there knows, sorted.

    Raises EdgetuneError where there is neither.
    """
    try:
        status = ask_status(address, _ASK_SECONDS)
    except EdgetuneError as no_agent:
        try:
            known = tracker.boards(address)
        except EdgetuneError:
            if "no edgetune agent" not in str(no_agent):  # nothing that answers at all
                raise no_agent from None
            raise EdgetuneError(f"what listens at {address} is neither an agent of edgetune's nor a tracker") from None
        return _ask(known)
    return [Board(str(status.get("key", "")), address, True, status)]


def _ask(known: Sequence[tracker.KnownBoard]) -> list[Board]:
    if not known:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(known)), thread_name_prefix="edgetune-ask") as threads:
        return list(threads.map(_board, known))


def _board(known: tracker.KnownBoard) -> Board:
    try:
        return Board(known.key, known.address, True, ask_status(known.address, _ASK_SECONDS))
    except EdgetuneError:
        return Board(known.key, known.address, False, known.status)
