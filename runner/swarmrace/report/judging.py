"""`swarmrace verdict FOLDER...`: judges acceptances over all cells of a matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from swarmrace.errors import Exit
from swarmrace.export.command import one_of_each
from swarmrace.export.folders import find_results, group_parts, map_folders
from swarmrace.report.answer import answers, completed
from swarmrace.report.build import judgements, pairs_of
from swarmrace.report.facts import gather
from swarmrace.report.model import Entry, TableData, comparison_of
from swarmrace.report.selection import Chosen, choose, plan_of
from swarmrace.verdict.entries import ratio_entry
from swarmrace.verdict.matrix import MatrixJudgement, exit_of
from swarmrace.verdict.model import Ratio


def judge_matrix(
    given: Sequence[Path], accept: Sequence[str], warn: Callable[[str], None] = lambda _: None
) -> tuple[Chosen, list[MatrixJudgement]]:
    """Return the cells of the folders, and each acceptance judged over them.

    Args:
        given: results folders, or folders that hold some (a sweep).
        accept: acceptances that replace the scenarios' (`facts.accepted`).
        warn: called with a line for each folder that is left out.

    Raises:
        ResultsError: a folder can't be read or was edited.
        UsageError: an acceptance doesn't fit the races.
    """
    folders, left_out = one_of_each(find_results(given))
    for line in left_out:
        warn(line)
    work = partial(gather, accept=tuple(accept), verdict_only=True)
    read = map_folders(work, group_parts(folders))
    chosen = choose(read, plan_of(given))
    return chosen, list(judgements(chosen))


def exit_code(chosen: Chosen, found: Sequence[MatrixJudgement]) -> Exit:
    """Return the exit code, by the rules of a single race: first the infrastructure's, then the
    acceptance's. Without an acceptance it is the first cell's exit code that isn't 0; without a
    cell, 7."""
    if not chosen.cells:
        return Exit.RACE
    codes = [cell.verdict.exit for cell in chosen.cells]
    if Exit.INFRASTRUCTURE in codes:
        return Exit.INFRASTRUCTURE
    if found:
        return exit_of(found)
    return next((code for code in codes if code is not Exit.OK), Exit.OK)


def verdict(
    given: Sequence[Path], accept: Sequence[str], warn: Callable[[str], None]
) -> tuple[str, Exit]:
    """Return the text to print and the exit code.

    Args:
        given: see `judge_matrix`.
        accept: see `judge_matrix`.
        warn: called with each further line that the user must know.
    """
    chosen, found = judge_matrix(given, accept, warn)
    lines = [*answers(chosen, pairs_of(chosen))]
    for item in found:
        lines += ["", f"Acceptance {item.verdict}: {item.text}"]
        lines += plain(table(chosen, item))
    lines += ["", *completed(chosen)]
    if chosen.planned:
        lines.append(f"No results: {', '.join(chosen.planned)}")
    return "\n".join(lines), exit_code(chosen, found)


def table(chosen: Chosen, item: MatrixJudgement) -> TableData:
    """Return an acceptance's cells: ratio, the cell's own verdict, and its verdict by Holm."""
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
            Entry("–" if (p := _min(cell.p_met, cell.p_missed)) is None else f"{p:.2g}"),
        )
        for cell in item.cells
    ]
    return TableData(
        "Cells",
        "cells",
        ("cell", "ratio", "own verdict", "adjusted", "p (Holm)"),
        tuple(rows),
    )


def _min(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)


def plain(found: TableData) -> list[str]:
    """Return a table as lines of text."""
    texts = [list(found.head), *([entry.text for entry in row] for row in found.rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(found.head))]
    return [
        "  " + "  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip()
        for row in texts
    ]
