"""From what was read to the report's model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from swarmrace.report import provenance
from swarmrace.report.answer import answers, completed
from swarmrace.report.cell_reports import cells
from swarmrace.report.facts import Facts
from swarmrace.report.limits import summary
from swarmrace.report.model import Colour, Report, comparison_of
from swarmrace.report.panels import panel_rows
from swarmrace.report.scaling import growth
from swarmrace.report.selection import Chosen, choose
from swarmrace.report.shares import shares, uploads
from swarmrace.report.tables import tables
from swarmrace.report.warnings import warnings
from swarmrace.verdict.matrix import MatrixJudgement, judge
from swarmrace.verdict.model import AcceptanceVerdict

_MAX_PAIRS = 4


def build(
    found: Sequence[Facts],
    *,
    title: str = "",
    planned: Sequence[tuple[int, int, int, str, str]] = (),
    left_out: Sequence[str] = (),
) -> Report:
    """Return the report of what was read.

    Args:
        found: one for each results folder.
        title: of the page; the races' name by default.
        planned: every cell that there should be (`selection.plan_of`).
        left_out: folders that are not counted, and why.
    """
    chosen = choose(found, planned)
    pairs = pairs_of(chosen)
    judged = tuple(judgements(chosen))
    many = len(chosen.cells) + len(chosen.planned) > 1
    rows = (
        panel_rows(chosen, pair, judged, whole=at == 0)
        for at, pair in enumerate(pairs)
        if many and (at == 0 or compared_cells(chosen, pair) > 1)
    )
    bounds = [
        (chosen.name_of(cell), name, bound)
        for cell in chosen.cells
        for name, bound in cell.bounds.items()
    ]
    return Report(
        title=title or _title(chosen),
        state=tuple(_state(chosen)),
        answer=tuple(answers(chosen, pairs)),
        acceptance=judged,
        completed=tuple(completed(chosen)),
        warnings=tuple(warnings(chosen, judged)),
        bounded=tuple(summary(bounds)),
        panels=tuple(row for row in chain.from_iterable(rows) if row.panels),
        growth=tuple(growth(chosen)),
        shares=tuple(shares(chosen)),
        uploads=uploads(chosen),
        tables=tuple(tables(chosen)),
        cells=tuple(cells(chosen)),
        missing=chosen.planned,
        definitions=provenance.definitions(chosen),
        methods=provenance.METHODS,
        provenance=tuple(provenance.provenance(chosen)),
        commands=tuple(provenance.commands(chosen)),
        not_tested=tuple(provenance.not_tested(chosen)),
        colours=tuple(_colours(chosen)),
        pairs=tuple(pairs),
        left_out=tuple(left_out),
        networks=chosen.networks,
    )


def pairs_of(chosen: Chosen) -> list[tuple[str, str]]:
    """Return the pairs that the report sets against each other, those of the most cells first:
    rivals in the headline of a cell, those of two systems before those of one; or where there are
    none, references."""
    unlike: set[tuple[str, str]] = set()
    rivals: Counter[tuple[str, str]] = Counter()
    references: Counter[tuple[str, str]] = Counter()
    for cell in chosen.cells:
        for each in cell.verdict.comparisons:
            if each.headline and each.t100 is not None:
                pair = (each.entrant, each.of)
                (references if each.reference else rivals)[pair] += 1
                kinds = [cell.verdict.entrants[name].kind for name in pair]
                if len(set(kinds)) > 1:
                    unlike.add(pair)
    found = rivals or references
    ranked = sorted(found, key=lambda pair: (-found[pair], pair not in unlike))
    return ranked[:_MAX_PAIRS]


def compared_cells(chosen: Chosen, pair: tuple[str, str]) -> int:
    """Return how many cells compare a pair."""
    return sum(
        (found := comparison_of(cell, pair)) is not None and found.t100 is not None
        for cell in chosen.cells
    )


def judgements(chosen: Chosen) -> Iterator[MatrixJudgement]:
    """Yield each acceptance, judged over all cells that have it and all that are missing."""
    wanted: dict[tuple[object, ...], AcceptanceVerdict] = {}
    for cell in chosen.cells:
        for item in cell.verdict.acceptance:
            wanted.setdefault(_asked(item), item)
    for asked, example in wanted.items():
        found: dict[str, AcceptanceVerdict | None] = {}
        for cell in chosen.cells:
            for item in cell.verdict.acceptance:
                if _asked(item) == asked:
                    found[chosen.name_of(cell)] = item
        found |= dict.fromkeys(chosen.planned)
        yield judge(found, example)


def _asked(item: AcceptanceVerdict) -> tuple[object, ...]:
    return item.entrant, item.of, item.within, item.bound, item.completion


def _state(chosen: Chosen) -> Iterator[str]:
    """Yield what is not finished."""
    if chosen.planned:
        whole = len(chosen.cells) + len(chosen.planned)
        yield f"Not finished: {len(chosen.cells)} of {whole} cells have results."
    for cell in chosen.cells:
        if cell.verdict.status != "finished":
            runs = len(cell.verdict.runs)
            yield (
                f"{chosen.name_of(cell)}: {cell.raced} of {runs} runs raced, "
                f"{cell.verdict.status}" + (f" ({why})" if (why := cell.verdict.stopped_by) else "")
            )


def _title(chosen: Chosen) -> str:
    names = Counter(name for cell in chosen.cells for name in cell.verdict.entrants)
    entrants = ", ".join(names) if names else "no results yet"
    count = len(chosen.cells)
    return f"{entrants}: {f'{count} cells' if count != 1 else chosen.cells[0].verdict.name}"


def _colours(chosen: Chosen) -> Iterator[Colour]:
    """Yield the entrants in order of how many cells hold them; a reference has no colour."""
    seen: dict[str, bool] = {}
    for cell in chosen.cells:
        references = {each.of for each in cell.verdict.comparisons if each.reference}
        for name in cell.verdict.entrants:
            seen[name] = seen.get(name, True) and name in references
    index = 0
    for name, reference in seen.items():
        yield Colour(name, -1 if reference else index, reference)
        index += not reference
