"""Builds the report's model from the results that were read."""

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
_MAX_WITH_BASELINE = 7
"""Pairs with one baseline are easier to read than pairs of all kinds."""


def build(
    found: Sequence[Facts],
    *,
    title: str = "",
    planned: Sequence[tuple[int, int, int, str, str]] = (),
    left_out: Sequence[str] = (),
) -> Report:
    """Return the report's model.

    Args:
        found: the facts of each results folder.
        title: title of the page; made from entrants and cells by default.
        planned: every planned cell (`selection.plan_of`).
        left_out: a line for each folder that is not counted, with the reason.
    """
    chosen = choose(found, planned)
    pairs = pairs_of(chosen)
    judged = tuple(judgements(chosen))
    many = len(chosen.cells) + len(chosen.planned) > 1
    rows = (
        panel_rows(chosen, pair, judged, all_figures=at == 0)
        for at, pair in enumerate(pairs)
        if many and (at == 0 or compared_cells(chosen, pair) > 1)
    )
    bounds = [
        (chosen.name_of(cell), name, bound)
        for cell in chosen.cells
        for name, bound in cell.bounds.items()
    ]
    return Report(
        title=title or _title(chosen, left_out),
        state=tuple(_state(chosen)),
        answer=tuple(answers(chosen, pairs, left_out)),
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
    """Return the pairs that the report compares: rivals from the cells' headlines, or references if
    there are no rivals. Pairs compared in more cells come first, then pairs of two systems.

    With a baseline named by the scenario they are its pairs, references included.
    """
    two_kinds: set[tuple[str, str]] = set()
    rivals: Counter[tuple[str, str]] = Counter()
    references: Counter[tuple[str, str]] = Counter()
    for cell in chosen.cells:
        for each in cell.verdict.comparisons:
            if each.headline and each.t100 is not None:
                pair = (each.entrant, each.of)
                (references if each.reference else rivals)[pair] += 1
                kinds = [cell.verdict.entrants[name].kind for name in pair]
                if len(set(kinds)) > 1:
                    two_kinds.add(pair)
    baseline = any(cell.verdict.race.get("baseline") for cell in chosen.cells)
    found = rivals + references if baseline else rivals or references
    ranked = sorted(found, key=lambda pair: (-found[pair], pair not in two_kinds))
    return ranked[: _MAX_WITH_BASELINE if baseline else _MAX_PAIRS]


def compared_cells(chosen: Chosen, pair: tuple[str, str]) -> int:
    """Return how many cells compare a pair."""
    return sum(
        (found := comparison_of(cell, pair)) is not None and found.t100 is not None
        for cell in chosen.cells
    )


def judgements(chosen: Chosen) -> Iterator[MatrixJudgement]:
    """Yield each acceptance, judged over all cells that have it and all missing cells."""
    acceptances: dict[tuple[object, ...], AcceptanceVerdict] = {}
    for cell in chosen.cells:
        for item in cell.verdict.acceptance:
            acceptances.setdefault(_terms(item), item)
    for terms, example in acceptances.items():
        found: dict[str, AcceptanceVerdict | None] = {}
        for cell in chosen.cells:
            for item in cell.verdict.acceptance:
                if _terms(item) == terms:
                    found[chosen.name_of(cell)] = item
        found |= dict.fromkeys(chosen.planned)
        yield judge(found, example)


def _terms(item: AcceptanceVerdict) -> tuple[object, ...]:
    return item.entrant, item.of, item.within, item.bound, item.completion


def _state(chosen: Chosen) -> Iterator[str]:
    """Yield a line for each unfinished part."""
    if chosen.planned:
        total = len(chosen.cells) + len(chosen.planned)
        yield f"Not finished: {len(chosen.cells)} of {total} cells have results."
    for cell in chosen.cells:
        if cell.verdict.status != "finished":
            runs = len(cell.verdict.runs)
            yield (
                f"{chosen.name_of(cell)}: {cell.raced} of {runs} runs raced, "
                f"{cell.verdict.status}" + (f" ({why})" if (why := cell.verdict.stopped_by) else "")
            )


def _title(chosen: Chosen, left_out: Sequence[str]) -> str:
    if not chosen.cells:
        return "No usable results" if left_out else "No results yet"
    names = Counter(name for cell in chosen.cells for name in cell.verdict.entrants)
    entrants = ", ".join(names)
    count = len(chosen.cells)
    return f"{entrants}: {f'{count} cells' if count != 1 else chosen.cells[0].verdict.name}"


def _colours(chosen: Chosen) -> Iterator[Colour]:
    """Yield the entrants' colours in order of appearance. References have none."""
    seen: dict[str, bool] = {}
    for cell in chosen.cells:
        compared = [each for each in cell.verdict.comparisons if each.reference]
        names = {name for each in compared for name in (each.entrant, each.of)}
        references = {name for name in names if cell.verdict.entrants[name].reference}
        for name in cell.verdict.entrants:
            seen[name] = seen.get(name, True) and name in references
    index = 0
    for name, reference in seen.items():
        yield Colour(name, -1 if reference else index, reference)
        index += not reference
