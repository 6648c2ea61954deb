"""What an import did, line by line where it refused."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_LISTED = 1_000


@dataclass(frozen=True)
class Skipped:
    """One line that was not taken: file name, line number (from 1), reason in one line."""

    file: str
    line: int
    reason: str


@dataclass
class ImportReport:
    """Counts of one import. `skipped` lists the first MAX_LISTED refusals, `skipped_count` counts them all.

    added, known: records new to the store, and records that were there already. workloads_added: new kernels.
    passed_over: sound records of fingerprints that were not asked for. notes: what the user should know.
    """

    files: int = 0
    added: int = 0
    known: int = 0
    workloads_added: int = 0
    passed_over: int = 0
    skipped_count: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def skip(self, file: str, line: int, reason: str) -> None:
        """Notes one refused line."""
        self.skipped_count += 1
        if len(self.skipped) < MAX_LISTED:
            self.skipped.append(Skipped(file, line, reason))

    def note(self, text: str) -> None:
        """Notes something once."""
        if text not in self.notes:
            self.notes.append(text)
