"""A table on a terminal, made to fit its width."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

# Below this many characters a name is cut into pieces that nobody can put together.
_LEAST_TEXT = 28
_GAP = 2


@dataclass(frozen=True)
class _Column:
    name: str
    cells: Sequence[str]
    number: bool

    @property
    def whole(self) -> int:
        """The width at which nothing is folded."""
        return max(_width(self.name), self._widest)

    @property
    def least(self) -> int:
        """The width below which it cannot be read: figures are never folded, and names only so far."""
        widest = self._widest if self.number else min(self._widest, _LEAST_TEXT)
        return max(widest, *(_width(word) for word in self.name.split()), 1)

    @property
    def same(self) -> bool:
        return len(set(self.cells)) == 1

    @property
    def _widest(self) -> int:
        return max((_width(cell) for cell in self.cells), default=0)


def boxed(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    title: str = "",
    right: Collection[str] = (),
    spare: Sequence[str] = (),
    fold: bool = True,
) -> Table:
    """A table of `rows` under `columns` for a terminal of `width` characters.

    Where it is too wide, gaps and heads become narrower; then the columns in `spare` are left out, the first of it
    first, and a line says so; then those whose cells are all the same, which the title says instead; then names are
    folded (or cut, without `fold`). Figures, the columns in `right`, are never folded.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = [_Column(name, [row[at] for row in rows], name in right) for at, name in enumerate(columns)]
    whole = sum(column.whole for column in shown) + 3 * (len(shown) - 1) + 2 * _GAP
    if whole <= width:
        table = Table(title=Text(title) if title else None, box=box.SIMPLE_HEAD, title_justify="left")
        widths = [column.whole for column in shown]
    else:
        shown, left_out, same = _fitting(shown, width, spare)
        said = ", ".join(f"{column.name} {column.cells[0]}" for column in same)
        title = ": ".join(part for part in (title, said) if part)
        table = Table(
            title=Text(title) if title else None,
            caption=Text(f"a wider terminal also shows: {', '.join(left_out)}") if left_out else None,
            box=box.SIMPLE_HEAD,
            title_justify="left",
            caption_justify="left",
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        widths = _widths(shown, width)
    for column, wide in zip(shown, widths, strict=True):
        # Written on several lines here: a column that is not folded would have its head cut, too.
        head = "\n".join(textwrap.wrap(column.name, wide, break_long_words=False))
        table.add_column(
            Text(head),
            justify="right" if column.number else "left",
            overflow="fold" if fold else "ellipsis",
            no_wrap=not fold,
            width=wide,
        )
    for cells in zip(*(column.cells for column in shown), strict=True):
        # Text, not str: rich would take the brackets of a name for markup.
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _fitting(
    columns: list[_Column], width: int, spare: Sequence[str]
) -> tuple[list[_Column], list[str], list[_Column]]:
    """The columns that fit, the names of the spare ones that do not, and the columns that have one value only."""
    shown, left_out, same = list(columns), [], []
    for name in spare:
        if _needs(shown) > width:
            left_out.append(name)
            shown = [column for column in shown if column.name != name]
    for column in list(shown):
        if _needs(shown) > width and column.same and len(shown) > 1:
            same.append(column)
            shown.remove(column)
    return shown, left_out, same


def _needs(columns: Sequence[_Column]) -> int:
    return sum(column.least for column in columns) + _GAP * (len(columns) - 1)


def _widths(columns: Sequence[_Column], width: int) -> list[int]:
    """What each column gets: what it needs, and names, the first ones first, what is left."""
    widths = [column.least for column in columns]
    room = width - _needs(columns)
    for at, column in enumerate(columns):
        if not column.number:
            more = max(0, min(room, column.whole - widths[at]))
            widths[at] += more
            room -= more
    # A terminal that is narrower than all of this: the widest give way.
    while room < 0 and max(widths) > 4:
        widths[widths.index(max(widths))] -= 1
        room += 1
    return widths


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
