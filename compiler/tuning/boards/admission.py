"""Which boards may measure for one run: those that are what the first one is, so that their times can be compared."""

from __future__ import annotations

import targets
from compiler.errors import EdgetuneError
from compiler.report import format as fmt
from compiler.runtime.rpc.identity import Identity, board_fingerprint, why_not_run_on


class Admission:
    """Compares boards with the first one."""

    def __init__(self, target: targets.Target, first: Identity) -> None:
        """Raises EdgetuneError, in one line, where the first board cannot run the target."""
        self.target = target
        self.first = first
        self.fingerprint = board_fingerprint(first, target)
        reason = self._why_unfit(first)
        if reason is not None:
            raise EdgetuneError(f"cannot tune for {target.name} on that board: {reason}")

    def why_not(self, identity: Identity) -> str | None:
        """None where a board may measure, else what is different about it, in one line."""
        reason = self._why_unfit(identity)
        if reason is not None:
            return reason
        fingerprint = board_fingerprint(identity, self.target)
        for own, wanted, words in (
            (fingerprint.device, self.fingerprint.device, "it is {}, and the first board is {}"),
            (
                fmt.count(identity.cores, "core"),
                fmt.count(self.first.cores, "core"),
                "it has {}, and the first board has {}",
            ),
            (identity.tvm, self.first.tvm, "its TVM is {}, and the first board's is {}"),
            (fingerprint.id, self.fingerprint.id, "its fingerprint is {}, and the first board's is {}"),
        ):
            if own != wanted:
                return words.format(own, wanted)
        return None

    def _why_unfit(self, identity: Identity) -> str | None:
        reason = why_not_run_on(identity, self.target)
        if reason is not None:
            return reason
        if self.target.kind != "cuda" and identity.cores < self.target.cores:
            cores = fmt.count(identity.cores, "core")
            return f"it has {cores}, and the target computes with {self.target.cores}: give --threads"
        return None
