"""The verdict that fits a terminal: the answer, the flags and one table.

It has at most 80 columns and 40 rows with the prompt. What doesn't fit is counted, and `--full`
shows it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from swarmrace.verdict.entries import entry, ratio_entry
from swarmrace.verdict.layout import Line, prose_table, width_of
from swarmrace.verdict.model import EntrantVerdict, Summary, Verdict
from swarmrace.verdict.render import COLOURS, flags, head, interval_note

WIDTH, ROWS = 80, 37
"""Two rows of progress and the prompt are left free."""
_MAX_ENTRANTS = 8
_MIN_WARNING_ROWS = 13
_MAX_NAME = 40
_COLUMNS = (
    ("done (t100)", "t100"),
    ("last leecher", "last"),
    ("download", "downloadSpeed"),
    ("upload", "uploadSpeed"),
    ("wire / payload", "wireReceived"),
)
_FOOTER = "--full: every figure, run and setting; --explain WORD: what a word means"


def show(verdict: Verdict, console: Console) -> None:
    """Print the short page on a console."""
    for part in page(verdict):
        console.print(part, width=WIDTH, highlight=False, markup=False, crop=False)


def text(verdict: Verdict) -> str:
    """Return the short page as plain text."""
    return "\n".join(_lines(list(page(verdict)))) + "\n"


def page(verdict: Verdict) -> Iterator[RenderableType]:
    """Yield the short page; it has at most `ROWS` rows of `WIDTH` columns."""
    name = verdict.name if len(verdict.name) <= _MAX_NAME else f"{verdict.name[:_MAX_NAME]}…"
    top = list(head(verdict.model_copy(update={"name": name})))
    answers: list[RenderableType] = [Line(line, "bold cyan") for line in verdict.headline]
    answers += [
        Line(f"Acceptance {item.text}", f"bold {COLOURS[item.verdict]}")
        for item in verdict.acceptance
    ]
    notes: list[RenderableType] = (
        [interval_note(verdict)] if any("[" in line for line in verdict.headline) else []
    )
    notes += [Line(note) for note in verdict.head_notes]
    table: list[RenderableType] = ["", _table(verdict), "", Text(_FOOTER, style="dim")]
    warnings: list[RenderableType] = [Line(line) for line in _warnings(verdict)]
    left = ROWS - _rows([*top, *notes, *table])
    shown = _fit(answers, left - (min(_MIN_WARNING_ROWS, _rows(warnings) + 2) if warnings else 0))
    yield from [*top, *shown, *notes]
    if warnings:
        yield ""
        yield Text("Read before believing", style="bold")
        yield from _fit(warnings, left - _rows(shown) - 2)
    yield from table


def _warnings(verdict: Verdict) -> list[str]:
    """Return failed and missing runs first, then the flags."""
    lines = []
    for status in ("failed", "missing"):
        runs = [run for run in verdict.runs if run.status == status]
        if runs:
            first = f"{runs[0].run_id}: {runs[0].reason}" if runs[0].reason else runs[0].run_id
            lines.append(f"{len(runs)} of {len(verdict.runs)} runs {status}, the first {first}")
    if verdict.faults:
        lines.append(
            f"{len(verdict.faults)} broken or foreign files, the first {verdict.faults[0]}"
        )
    return lines + flags(verdict)


def _table(verdict: Verdict) -> Table:
    """Return a table with a row for each entrant; columns that don't fit are dropped from the
    end."""
    entrants = list(verdict.entrants.values())
    ratios = _ratios(verdict)
    shown = entrants[:_MAX_ENTRANTS]
    columns = [
        (title, figure)
        for title, figure in _COLUMNS
        if any(figure in entrant.figures for entrant in shown)
    ]
    while True:
        table = prose_table(header=True)
        table.add_column("median over runs", style="dim", no_wrap=True)
        for title, _ in columns[:1]:
            table.add_column(title, no_wrap=True)
        if ratios:
            table.add_column(f"× {verdict.race['baseline']}", no_wrap=True)
        for title, _ in columns[1:]:
            table.add_column(title, no_wrap=True)
        table.add_column("complete", no_wrap=True)
        for entrant in shown:
            cells = _row(entrant, [name for _, name in columns])
            if ratios:
                cells.insert(2, ratios[entrant.name])
            table.add_row(*map(Text, cells))
        if width_of(table) <= WIDTH or len(columns) <= 1:
            break
        columns.pop()
    if len(entrants) > len(shown):
        table.add_row(Text(f"… and {len(entrants) - len(shown)} more"))
    return table


def _ratios(verdict: Verdict) -> dict[str, str]:
    """Return each entrant's ratio to the baseline, if the scenario names one."""
    baseline = verdict.race.get("baseline")
    if baseline not in verdict.entrants:
        return {}
    found = {each.entrant: each for each in verdict.comparisons if each.of == baseline}
    ratios = {name: ratio_entry(each.t100) for name, each in found.items()}
    return dict.fromkeys(verdict.entrants, "–") | ratios | {baseline: "1"}


def _row(entrant: EntrantVerdict, figures: Sequence[str]) -> list[str]:
    counts = entrant.reliability
    cells = [entrant.name]
    for name in figures:
        found = entrant.figures.get(name)
        cells.append(entry(name, Summary(value=found.value) if found else None))
    return [*cells, f"{counts.runs_complete} of {counts.runs_raced} runs"]


def _fit(parts: list[RenderableType], rows: int) -> list[RenderableType]:
    """Return as many whole parts as fit and the number of further ones. If even the first part is
    too long, return its beginning."""
    if _rows(parts) <= rows:
        return parts
    shown: list[RenderableType] = []
    for part in parts:
        if _rows([*shown, part]) > rows - 1:
            break
        shown.append(part)
    if not shown:
        beginning = _lines(parts[:1])[: max(1, rows - 1)]
        shown.append(Text("\n".join(beginning) + " …"))
    more = len(parts) - len(shown)
    return [*shown, Line(f"… and {more} more: --full", "dim")] if more else shown


def _rows(parts: Sequence[RenderableType]) -> int:
    return len(_lines(parts))


def _lines(parts: Sequence[RenderableType]) -> list[str]:
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False)
    for part in parts:
        console.print(part, highlight=False, markup=False, crop=False)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
