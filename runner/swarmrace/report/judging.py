"""`swarmrace verdict FOLDER...`: one acceptance, or several, over all cells of a matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from swarmrace.errors import Exit
from swarmrace.export.command import once, twice
from swarmrace.export.folders import each, find, grouped
from swarmrace.report.answer import answers, completed
from swarmrace.report.build import judgements, pairs_of
from swarmrace.report.facts import gather
from swarmrace.report.model import Entry, TableData, comparison_of
from swarmrace.report.selection import Chosen, choose, plan_of
from swarmrace.verdict.entries import ratio_entry
from swarmrace.verdict.matrix import MatrixJudgement, exit_of
from swarmrace.verdict.model import Ratio


def judged(given: Sequence[Path], accept: Sequence[str]) -> tuple[Chosen, list[MatrixJudgement]]:
    """Return the cells of the folders, and each acceptance over them.

    Args:
        given: results folders, or folders that hold some.
        accept: acceptances that take the place of the scenarios' (`facts.accepted`).

    Raises:
        ResultsError: a folder can't be read or was edited.
        UsageError: an acceptance doesn't fit the races.
    """
    folders = grouped(once(find(given)))
    read = each(partial(gather, accept=tuple(accept), whole=False), folders)
    chosen = choose(read, plan_of(given))
    return chosen, list(judgements(chosen))


def exit_code(chosen: Chosen, found: Sequence[MatrixJudgement]) -> Exit:
    """Return the exit code, as a race has it: the infrastructure's, then the acceptance's, and
    without one that of the first cell that isn't 0."""
    codes = [cell.verdict.exit for cell in chosen.cells]
    if Exit.INFRASTRUCTURE in codes:
        return Exit.INFRASTRUCTURE
    if found:
        return exit_of(found)
    return next((code for code in codes if code is not Exit.OK), Exit.OK)


def verdict(
    given: Sequence[Path], accept: Sequence[str], tell: Callable[[str], None]
) -> tuple[str, Exit]:
    """Return what is to be printed, and the exit code.

    Args:
        given: see `judged`.
        accept: see `judged`.
        tell: takes what a reader must know beside it, a line each.
    """
    for line in twice(find(given)):
        tell(line)
    chosen, found = judged(given, accept)
    lines = [*answers(chosen, pairs_of(chosen))]
    for item in found:
        lines += ["", f"Acceptance {item.verdict}: {item.text}"]
        lines += plain(table(chosen, item))
    lines += ["", *completed(chosen)]
    if chosen.planned:
        lines.append(f"No results: {', '.join(chosen.planned)}")
    return "\n".join(lines), exit_code(chosen, found)


def table(chosen: Chosen, item: MatrixJudgement) -> TableData:
    """Return an acceptance's cells: ratio, verdict by itself, and what Holm lets it be called."""
    ratios: dict[str, Ratio | None] = {}
    for cell in chosen.cells:
        compared = comparison_of(cell, (item.entrant, item.of))
        ratios[chosen.name_of(cell)] = compared.t100 if compared else None
    rows = [
        (
            Entry(cell.cell),
            Entry(ratio_entry(ratios.get(cell.cell))),
            Entry(cell.verdict),
            Entry(f"{cell.named} (Holm)" if cell.named else "–"),
            Entry("–" if (p := _least(cell.p_met, cell.p_missed)) is None else f"{p:.2g}"),
        )
        for cell in item.cells
    ]
    return TableData(
        "Cells",
        "cells",
        ("cell", "ratio", "by itself", "named", "p (Holm)"),
        tuple(rows),
    )


def _least(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)


def plain(found: TableData) -> list[str]:
    """Return a table as lines of text."""
    texts = [list(found.head), *([entry.text for entry in row] for row in found.rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(found.head))]
    return [
        "  " + "  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip()
        for row in texts
    ]
