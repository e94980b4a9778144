"""Warnings that a reader must know before believing a number, over all cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median

from swarmrace.report.facts import Facts
from swarmrace.report.model import CellWarning
from swarmrace.report.selection import Chosen, axes_of
from swarmrace.report.words import number_of
from swarmrace.statistics.intervals import MIN_RANKED_BLOCKS
from swarmrace.systems.doubles import MARK
from swarmrace.verdict.matrix import MatrixJudgement
from swarmrace.verdict.model import EntrantVerdict, Verdict, profile_label

WIDE_SPREAD = 0.25
"""An entrant whose runs have a larger coefficient of variation gets a warning."""


def warnings(chosen: Chosen, judged: Sequence[MatrixJudgement]) -> Iterator[CellWarning]:
    """Yield the warnings, those of the whole matrix first."""
    cells = [(chosen.name_of(cell), cell) for cell in chosen.cells]
    yield from _missing(chosen)
    yield from _mixed(cells)
    yield from _same_axes(chosen)
    yield from _repetitions(cells)
    yield from _failures(cells)
    yield from _missing_runs(cells)
    for each in judged:
        if len(each.cells) > 1 and not any(_enough(cell, each) for _, cell in cells):
            yield CellWarning(
                "no single cell can be called met or missed by its times: among "
                f"{len(each.cells)} cells that takes at least {each.blocks_needed} complete blocks "
                "(Holm)"
            )
            break
    yield from _spread(cells)
    yield from _flags(cells)
    faults = [(name, cell) for name, cell in cells if cell.verdict.faults]
    if faults:
        broken = sum(len(cell.verdict.faults) for _, cell in faults)
        yield CellWarning(
            f"left out: {number_of(broken, 'broken, missing or foreign file')} (first: "
            f"{faults[0][1].verdict.faults[0]})",
            tuple(name for name, _ in faults),
        )


def _missing(chosen: Chosen) -> Iterator[CellWarning]:
    if chosen.planned:
        yield CellWarning(
            f"no results yet: {number_of(len(chosen.planned), 'planned cell')}", chosen.planned
        )
    part = [c for c in chosen.cells if c.verdict.status != "finished"]
    if part:
        yield CellWarning(
            "race didn't run to its end", tuple(chosen.name_of(cell) for cell in part)
        )
    again = [c for c in chosen.cells if chosen.attempts[c.key]]
    if again:
        yield CellWarning(
            "raced more than once: only one attempt counts; the cell's own report lists the others",
            tuple(chosen.name_of(cell) for cell in again),
        )


def _same_axes(chosen: Chosen) -> Iterator[CellWarning]:
    """Yield the cells that differ from another one only in settings that aren't on the axes."""
    seen: set[tuple[int, int, int, str]] = set()
    more = []
    for cell in chosen.cells:
        if axes_of(cell) in seen:
            more.append(chosen.name_of(cell))
        seen.add(axes_of(cell))
    if more:
        yield CellWarning(
            "same axes as another cell, but other settings: a figure over the matrix shows the "
            "first of them that compares its pair",
            tuple(more),
        )


def _mixed(cells: Sequence[tuple[str, Facts]]) -> Iterator[CellWarning]:
    """Yield what differs between cells but should be the same."""
    for what, get in (
        ("versions of swarmrace", lambda cell: {cell.commit or "unknown"}),
        ("machines", lambda cell: {machine_of(cell.verdict)}),
        ("backends", lambda cell: {cell.verdict.backend}),
        ("results formats", lambda cell: {str(cell.format)}),
        ("versions of the definitions", lambda cell: {cell.definitions or "not recorded"}),
    ):
        found: dict[str, list[str]] = {}
        for name, cell in cells:
            for value in get(cell):
                found.setdefault(value, []).append(name)
        if len(found) > 1:
            yield CellWarning(f"cells with {len(found)} different {what}: {_some(found)}")
    yield from _mixed_entrants(cells, "raced in {} versions", lambda e: program_of(e.versions))
    yield from _mixed_entrants(cells, "raced with {} different settings", settings_of)


def _mixed_entrants(
    cells: Sequence[tuple[str, Facts]], text: str, get: Callable[[EntrantVerdict], str]
) -> Iterator[CellWarning]:
    """Yield the entrants that differ between cells in what `get` returns; an empty string is
    unknown."""
    values: dict[str, list[str]] = {}
    for _, cell in cells:
        for entrant, raced in cell.verdict.entrants.items():
            found = values.setdefault(entrant, [])
            if (value := get(raced)) and value not in found:
                found.append(value)
    for entrant, found in values.items():
        if len(found) > 1:
            yield CellWarning(f"{entrant} {text.format(len(found))}: {_some(found)}")


def settings_of(entrant: EntrantVerdict) -> str:
    """Return an entrant's kind, profile and changed settings in words."""
    mark = f" {MARK}" if entrant.test_double else ""
    return f"{entrant.kind}, {profile_label(entrant.profile, entrant.changed)}{mark}"


def program_of(versions: dict[str, str]) -> str:
    """Return an entrant's program version in words."""
    return versions.get("program", "")


def machine_of(verdict: Verdict) -> str:
    """Return a machine in words, with what distinguishes it from another one."""
    machine = verdict.machine
    facts = [machine.get(key) for key in ("cpu", "cpus", "system", "kernel")]
    return ", ".join(str(fact) for fact in facts if fact) or "unknown"


def _repetitions(cells: Sequence[tuple[str, Facts]]) -> Iterator[CellWarning]:
    few = [
        (name, cell.verdict.race["repetitions"])
        for name, cell in cells
        if cell.verdict.race["repetitions"] < MIN_RANKED_BLOCKS
    ]
    if few:
        counts = sorted({blocks for _, blocks in few})
        yield CellWarning(
            f"few repetitions ({', '.join(map(str, counts))}): below {MIN_RANKED_BLOCKS} blocks an "
            "interval assumes log-normal times, below 3 there is none",
            _unless_all(few, cells),
        )


def _failures(cells: Sequence[tuple[str, Facts]]) -> Iterator[CellWarning]:
    names = dict.fromkeys(name for _, cell in cells for name in cell.verdict.entrants)
    for entrant in names:
        bad = []
        for name, cell in cells:
            found = cell.verdict.entrants.get(entrant)
            if found is None:
                continue
            if found.reliability.runs_complete < found.reliability.runs_raced:
                bad.append(name)
        if bad:
            yield CellWarning(f"{entrant}: runs with failed transfers", tuple(bad))


def _missing_runs(cells: Sequence[tuple[str, Facts]]) -> Iterator[CellWarning]:
    """Yield the entrants of which runs are missing, first those that have no other ones. A race
    that hasn't ended may still race them."""
    ended = [(name, cell.verdict) for name, cell in cells if cell.verdict.status == "finished"]
    for entrant in dict.fromkeys(name for _, found in ended for name in found.entrants):
        every = [name for name, found in ended if entrant in found.without_runs]
        some = [
            (name, found.entrants[entrant].reliability.runs_missing)
            for name, found in ended
            if entrant in found.entrants and name not in every
        ]
        if every:
            yield CellWarning(
                f"{entrant}: every run is missing, so nothing is known about it", tuple(every)
            )
        if lost := sum(number for _, number in some):
            yield CellWarning(
                f"{entrant}: {number_of(lost, 'run')} missing, in no figure",
                tuple(name for name, number in some if number),
            )


def _enough(cell: Facts, judged: MatrixJudgement) -> bool:
    found = cell.verdict.entrants.get(judged.entrant)
    return found is not None and found.reliability.runs_counted >= judged.blocks_needed


def _spread(cells: Sequence[tuple[str, Facts]]) -> Iterator[CellWarning]:
    names = dict.fromkeys(name for _, cell in cells for name in cell.verdict.entrants)
    for entrant in names:
        wide = []
        for name, cell in cells:
            found = cell.verdict.entrants.get(entrant)
            spread = found and found.figures.get("spread")
            if spread and isinstance(spread.value, float) and spread.value > WIDE_SPREAD:
                wide.append((name, spread.value))
        if wide:
            usual = median(value for _, value in wide)
            yield CellWarning(
                f"{entrant}: runs vary widely (coefficient of variation above "
                f"{WIDE_SPREAD:g}; median of these cells: {usual:.2g})",
                tuple(name for name, _ in wide),
            )


def _flags(cells: Sequence[tuple[str, Facts]]) -> Iterator[CellWarning]:
    """Yield each flag of the verdicts once, with the cells that have it. Flags whose texts differ
    only in numbers count as one."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name, cell in cells:
        notes = [("", text) for text in cell.verdict.head_notes]
        for entrant, text in [*notes, *((flag.entrant, flag.text) for flag in cell.verdict.flags)]:
            shown = f"{entrant}: {text}" if entrant else text
            key = "".join(" " if c.isdigit() else c for c in shown).split(" ", 6)
            _, cell_names = found.setdefault(" ".join(key[:6]), (shown, []))
            if name not in cell_names:
                cell_names.append(name)
    for text, cell_names in found.values():
        several = len(cell_names) > 1 and len(cells) > 1
        text = f"{text} (similar in each of these cells)" if several else text
        yield CellWarning(text, _unless_all(cell_names, cells))


def _unless_all(
    cell_names: Sequence[object], cells: Sequence[tuple[str, Facts]]
) -> tuple[str, ...]:
    """Return the cells to name; none if it is all of them."""
    names = tuple(each[0] if isinstance(each, tuple) else str(each) for each in cell_names)
    return () if len(names) == len(cells) else names


def _some(found: Iterable[str]) -> str:
    listed = list(found)
    return "; ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
