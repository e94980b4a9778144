"""What a reader must know before believing a number, over all cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from swarmrace.report.facts import Facts
from swarmrace.report.model import Line
from swarmrace.report.selection import Chosen
from swarmrace.statistics.intervals import LEAST_RANKED
from swarmrace.verdict.matrix import MatrixJudgement
from swarmrace.verdict.model import Verdict

WIDE_SPREAD = 0.25
"""Coefficient of variation between an entrant's runs, from which it is named."""


def warnings(chosen: Chosen, judged: Sequence[MatrixJudgement]) -> Iterator[Line]:
    """Yield them, those of the whole matrix first."""
    cells = [(chosen.name_of(cell), cell) for cell in chosen.cells]
    yield from _missing(chosen)
    yield from _mixed(cells)
    yield from _repetitions(cells)
    yield from _failures(cells)
    for each in judged:
        if len(each.cells) > 1 and not any(_enough(cell, each) for _, cell in cells):
            yield Line(
                f"no single cell can be named as met or missed by its times: of {len(each.cells)} "
                f"cells that takes {each.blocks_needed} complete blocks at least (Holm)"
            )
            break
    yield from _spread(cells)
    yield from _flags(cells)
    faults = [(name, cell) for name, cell in cells if cell.verdict.faults]
    if faults:
        count = sum(len(cell.verdict.faults) for _, cell in faults)
        yield Line(
            f"{count} broken or foreign files, left out (first: {faults[0][1].verdict.faults[0]})",
            tuple(name for name, _ in faults),
        )


def _missing(chosen: Chosen) -> Iterator[Line]:
    if chosen.planned:
        yield Line(f"{len(chosen.planned)} planned cells have no results yet", chosen.planned)
    part = [c for c in chosen.cells if c.verdict.status != "finished"]
    if part:
        yield Line("not raced to the end", tuple(chosen.name_of(cell) for cell in part))


def _mixed(cells: Sequence[tuple[str, Facts]]) -> Iterator[Line]:
    """Yield what differs between cells that should be alike."""
    for what, get in (
        ("versions of swarmrace", lambda cell: {cell.commit or "unknown"}),
        ("machines", lambda cell: {machine_of(cell.verdict)}),
        ("backends", lambda cell: {cell.verdict.backend}),
        ("definitions", lambda cell: {str(sorted(cell.verdict.definitions.items()))}),
    ):
        found: dict[str, list[str]] = {}
        for name, cell in cells:
            for value in get(cell):
                found.setdefault(value, []).append(name)
        if len(found) > 1:
            named = "" if what == "definitions" else f": {_some(found)}"
            yield Line(f"cells of {len(found)} {what} are mixed{named}")
    programs: dict[str, dict[str, list[str]]] = {}
    for name, cell in cells:
        for entrant, raced in cell.verdict.entrants.items():
            program = program_of(raced.versions)
            if program:
                programs.setdefault(entrant, {}).setdefault(program, []).append(name)
    for entrant, versions in programs.items():
        if len(versions) > 1:
            yield Line(f"{entrant} had {len(versions)} versions: {_some(versions)}")


def program_of(versions: dict[str, str]) -> str:
    """Return an entrant's program version in words."""
    return versions.get("program", "")


def machine_of(verdict: Verdict) -> str:
    """Return a machine in words, as far as two are told apart by it."""
    machine = verdict.machine
    facts = [machine.get(key) for key in ("cpu", "cpus", "system", "kernel")]
    return ", ".join(str(fact) for fact in facts if fact) or "unknown"


def _repetitions(cells: Sequence[tuple[str, Facts]]) -> Iterator[Line]:
    few = [
        (name, cell.verdict.race["repetitions"])
        for name, cell in cells
        if cell.verdict.race["repetitions"] < LEAST_RANKED
    ]
    if few:
        counts = sorted({count for _, count in few})
        yield Line(
            f"few repetitions ({', '.join(map(str, counts))}): below {LEAST_RANKED} blocks an "
            "interval rests on log-normal times, below 3 there is none",
            _all_but(few, cells),
        )


def _failures(cells: Sequence[tuple[str, Facts]]) -> Iterator[Line]:
    names = dict.fromkeys(name for _, cell in cells for name in cell.verdict.entrants)
    for entrant in names:
        bad = []
        for name, cell in cells:
            found = cell.verdict.entrants.get(entrant)
            if found is None:
                continue
            told = found.reliability
            if told.runs_complete < told.runs_scheduled - told.runs_missing:
                bad.append(name)
        if bad:
            yield Line(f"{entrant}: runs with failed transfers", tuple(bad))


def _enough(cell: Facts, judged: MatrixJudgement) -> bool:
    found = cell.verdict.entrants.get(judged.entrant)
    return found is not None and found.reliability.runs_counted >= judged.blocks_needed


def _spread(cells: Sequence[tuple[str, Facts]]) -> Iterator[Line]:
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
            yield Line(
                f"{entrant}: runs spread widely (coefficient of variation above "
                f"{WIDE_SPREAD:g}; median of these cells {usual:.2g})",
                tuple(name for name, _ in wide),
            )


def _flags(cells: Sequence[tuple[str, Facts]]) -> Iterator[Line]:
    """Yield each flag of the verdicts once, with the cells that have it: the same in words but for
    its numbers is one."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name, cell in cells:
        notes = [("", text) for text in cell.verdict.head_notes]
        for entrant, text in [*notes, *((flag.entrant, flag.text) for flag in cell.verdict.flags)]:
            shown = f"{entrant}: {text}" if entrant else text
            key = "".join(" " if c.isdigit() else c for c in shown).split(" ", 6)
            _, where = found.setdefault(" ".join(key[:6]), (shown, []))
            if name not in where:
                where.append(name)
    for text, where in found.values():
        several = len(where) > 1 and len(cells) > 1
        yield Line(f"{text}{' (and alike)' if several else ''}", _all_but(where, cells))


def _all_but(where: Sequence[object], cells: Sequence[tuple[str, Facts]]) -> tuple[str, ...]:
    """Return the cells that are named; none where it is all of them."""
    names = tuple(each[0] if isinstance(each, tuple) else str(each) for each in where)
    return () if len(names) == len(cells) else names


def _some(found: Iterable[str]) -> str:
    listed = list(found)
    return "; ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
