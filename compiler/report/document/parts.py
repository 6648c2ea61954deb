"""What a document is made of: sections with paragraphs, tables and charts. Writers turn it into a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from compiler.report import format as fmt

NOT_MEASURED = "not measured"

Kind = Literal["text", "number", "share"]


@dataclass(frozen=True)
class Column:
    """`number` and `share` (of one) are right-aligned, and None among them reads `not measured`; `text` as it is.

    `digits` are significant ones of a number; a share with 2 has hundredths of a percent, else tenths.
    """

    name: str
    kind: Kind = "text"
    digits: int = 3

    def show(self, value: object) -> str:
        """`value` as a person reads it."""
        if value is None:
            return "–" if self.kind == "text" else NOT_MEASURED
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if self.kind == "share":
                return f"{value:.2%}".replace("%", " %") if self.digits == 2 else fmt.share(float(value)) or ""
            if self.kind == "number":
                return f"{value:d}" if isinstance(value, int) else fmt.significant(value, self.digits) or ""
        return fmt.printable(str(value))


@dataclass(frozen=True)
class Table:
    """Rows as long as `columns`; `title` may be empty."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[object]]
    title: str = ""

    def without_constant(self, name: str) -> Table:
        """This table without its column `name` where that says the same in every row."""
        at = [column.name for column in self.columns].index(name)
        if len({row[at] for row in self.rows}) > 1:
            return self
        rows = [(*row[:at], *row[at + 1 :]) for row in self.rows]
        return Table((*self.columns[:at], *self.columns[at + 1 :]), rows, self.title)


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification without size and colours, which the writer adds; `caption` says what is seen."""

    spec: dict[str, Any]
    caption: str


@dataclass
class Section:
    """`folded` sections are shown when a reader asks for them, where the format can."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    folded: bool = False


@dataclass(frozen=True)
class Document:
    """`lead` says in a few sentences what was measured, where and when."""

    title: str
    lead: Sequence[str]
    sections: Sequence[Section]
