"""Where a command speaks: results to stdout, everything else to stderr; coloured and boxed only on a terminal."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from compiler.places import must_append
from compiler.report import format as fmt

if TYPE_CHECKING:
    from rich.console import Console

STDOUT = "-"


class Output:
    """Tables, lines, warnings and JSON of one command. `json` is the file of `--json` (`-` is stdout), or None."""

    def __init__(self, json: str | None = None, out: TextIO | None = None, err: TextIO | None = None) -> None:
        """Raises EdgetuneError where the file of `json` cannot take lines: before the work, not after it."""
        if json is not None and json != STDOUT:
            must_append(Path(json), "--json")
        self._err = err or sys.stderr
        # Where a program reads stdout, people's tables go beside it.
        self._out = self._err if json == STDOUT else out or sys.stdout
        self._json = json
        self._console: Console | None = None
        self._progress_console: Console | None = None

    @property
    def json_to_stdout(self) -> bool:
        """Whether stdout is for a program's JSON lines."""
        return self._json == STDOUT

    @property
    def terminal(self) -> bool:
        """Whether a person is watching stdout."""
        return self._out.isatty()

    @property
    def watched(self) -> bool:
        """Whether a person is watching stderr, where progress is shown."""
        return self._err.isatty()

    @property
    def console(self) -> Console:
        """The rich console of stdout; importing rich costs 50 ms, so only a terminal pays for it."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=self._out, highlight=False)
        return self._console

    @property
    def progress_console(self) -> Console:
        """The rich console of stderr, for what moves; `note` keeps clear of what is drawn on it."""
        if self._progress_console is None:
            from rich.console import Console

            self._progress_console = Console(file=self._err, highlight=False)
        return self._progress_console

    def say(self, line: str = "") -> None:
        """A line of the result."""
        print(fmt.printable(line), file=self._out, flush=True)

    def note(self, line: str) -> None:
        """A line on how the work goes, which is no part of the result."""
        line = fmt.printable(line)
        if self._progress_console is None:
            print(line, file=self._err, flush=True)
        else:
            self._progress_console.print(line, markup=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        """Something that the reader of the result must know."""
        self.note(f"warning: {line}")

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str = "",
        right: str = "",
        spare: Sequence[str] = (),
    ) -> None:
        """A table. `right` names the right-aligned columns, separated by commas. None is shown as a dash.

        A terminal that is too narrow for all of it gets it without the columns in `spare`.
        """
        cells = [["-" if cell is None else fmt.printable(str(cell)) for cell in row] for row in rows]
        aligned = set(right.split(",")) if right else set()
        if self.terminal:
            from compiler.report.boxed import boxed

            self.console.print(boxed(columns, cells, self.console.width, title, aligned, spare))
        else:
            self._plain(columns, cells, title, aligned)

    def facts(self, facts: Mapping[str, object], title: str = "") -> None:
        """Names and values, one a line; those that are None are left out."""
        known = {name: value for name, value in facts.items() if value is not None}
        if title:
            self.say(title)
        width = max((len(name) for name in known), default=0)
        for name, value in known.items():
            for line in self._lines(f"  {name:<{width}}  ", str(value)):
                self.say(line)

    def json(self, values: Iterable[Any]) -> None:
        """One JSON object a line for each of `values`, if the user asked for it. Raises EdgetuneError if it fails."""
        if self._json is None:
            return
        if self._json != STDOUT:
            from compiler.report.lines import append_lines

            append_lines(Path(self._json), values)
            return
        import msgspec

        sys.stdout.write("".join(msgspec.json.encode(value).decode() + "\n" for value in values))
        sys.stdout.flush()

    def _lines(self, name: str, value: str) -> list[str]:
        """A fact; on a terminal, what is too long for a line goes on below its beginning. No word is broken."""
        room = self.console.width - len(name) if self.terminal else 0
        if room < 20 or len(value) <= room:
            return [name + value]
        broken = textwrap.wrap(fmt.printable(value), room, break_long_words=False, break_on_hyphens=False)
        return [(name if at == 0 else " " * len(name)) + part for at, part in enumerate(broken)]

    def _plain(self, columns: Sequence[str], cells: list[list[str]], title: str, right: set[str]) -> None:
        if title:
            self.say(title)
        lines = [list(columns), *cells]
        widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
        for line in lines:
            padded = [
                cell.rjust(width) if name in right else cell.ljust(width)
                for cell, width, name in zip(line, widths, columns, strict=True)
            ]
            self.say("  ".join(padded).rstrip())
