"""Tables and lines that are never truncated, even in a narrow terminal.

A table of figures whose columns don't fit is folded: first the column heads wrap, then the ratios
move to a separate table, then the entrants' columns go below each other. A table that still doesn't
fit is printed at its full width.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_GAP = 2
_TOGETHER = re.compile(r"(\S+ )?\[[^\[\]]{1,40}\]|slower in \d+, faster in \d+")
"""Text that a line break must not split: a ratio and its interval."""
_JOINED = "\xa0"

Row = tuple[str, list[str]]
"""Label and cells; a row without cells is a heading."""


@dataclass(frozen=True, slots=True)
class FigureColumn:
    """A column of figures."""

    head: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text that wraps between words and keeps ratios and their intervals whole."""

    text: str
    style: str = ""
    indent: int = 2

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the wrapped lines."""
        joined = _TOGETHER.sub(lambda found: found[0].replace(" ", _JOINED), self.text)
        lines = [
            part
            for line in joined.splitlines()
            for part in textwrap.wrap(
                line,
                max(1, options.max_width - self.indent),
                break_long_words=False,
                break_on_hyphens=False,
            )
        ]
        text = "\n".join(lines).replace(_JOINED, " ")
        yield Padding(Text(text, style=self.style), (0, 0, 0, self.indent), expand=False)


def tables(
    title: str,
    rows: Sequence[Row],
    entrants: Sequence[FigureColumn],
    ratio: FigureColumn | None,
    *,
    width: int,
    wide: bool,
) -> Iterator[RenderableType]:
    """Yield the rows as one table if it fits, otherwise folded.

    Args:
        title: title above the labels.
        rows: rows whose cells are those of the entrants, then the ratio.
        entrants: the entrants' columns.
        ratio: the last column, if there is one.
        width: the available width.
        wide: whether the table may exceed `width`: column heads wrap, but ratios aren't moved.
    """
    columns = [*entrants, *([ratio] if ratio else [])]
    every = list(range(len(columns)))
    for fold in (False, True):
        whole = _figures(title, rows, columns, every, fold=fold)
        if (wide and fold and ratio) or width_of(whole) <= width:
            yield Whole(whole)
            return
    count = len(entrants)
    for per_table in range(count, 0, -1):
        parts = [every[at : min(at + per_table, count)] for at in range(0, count, per_table)]
        folded = [_figures(title, rows, columns, part, fold=True) for part in parts]
        if per_table == 1 or max(map(width_of, folded)) <= width:
            break
    if ratio:
        folded.append(_figures(title, _non_empty(rows, count), columns, [count], fold=True))
    for number, table in enumerate(folded):
        if number:
            yield ""
        yield Whole(table)


def prose_table(*, header: bool) -> Table:
    """Return an empty table whose cells may wrap."""
    return Table(
        box=None,
        pad_edge=False,
        padding=(0, _GAP, 0, 0),
        show_header=header,
        header_style="bold",
    )


def _non_empty(rows: Sequence[Row], at: int) -> list[Row]:
    """Return the rows with a non-empty cell in a column, and the headings above them."""
    result: list[Row] = []
    for label, cells in rows:
        if cells and not cells[at]:
            continue
        if not cells and result and not result[-1][1]:
            result.pop()
        result.append((label, cells))
    while result and not result[-1][1]:
        result.pop()
    return result


def _figures(
    title: str,
    rows: Sequence[Row],
    columns: Sequence[FigureColumn],
    chosen: Sequence[int],
    *,
    fold: bool,
) -> Table:
    table = prose_table(header=True)
    labels = [f"  {label}" if cells else label for label, cells in rows]
    widest = max(map(len, labels), default=0)
    table.add_column(_folded(title, widest) if fold else title, style="dim", no_wrap=True)
    for at in chosen:
        width = max((len(cells[at]) for _, cells in rows if cells), default=0)
        head = _folded(columns[at].head, width) if fold else columns[at].head
        table.add_column(Text(head), style=columns[at].style, no_wrap=True)
    for label, (_, cells) in zip(labels, rows, strict=True):
        if cells:
            table.add_row(Text(label), *(Text(cells[at]) for at in chosen))
        else:
            table.add_row(Text(label, style="bold not dim"))
    return table


def _folded(words: str, width: int) -> str:
    """Return the words on lines no longer than `width` or the longest word."""
    limit = max([width, *map(len, words.split())])
    return "\n".join(textwrap.wrap(words, limit, break_on_hyphens=False))


def width_of(table: Table) -> int:
    """Return the width of a table of figures, in characters."""
    return (
        sum(
            max(
                (
                    cell_len(line)
                    for cell in (column.header, *column.cells)
                    for line in str(cell).splitlines()
                ),
                default=0,
            )
            + _GAP
            for column in table.columns
        )
        - _GAP
    )


@dataclass(frozen=True, slots=True)
class Whole:
    """A table of figures at its full width; print it with `crop=False`."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table."""
        width = max(options.max_width, width_of(self.table) + _GAP)
        yield from console.render(self.table, options.update(width=width, max_width=width))
