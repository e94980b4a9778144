"""`swarmrace compare OLD NEW`: what changed between two races, or two sweeps, of one scenario."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from swarmrace.errors import Exit, ResultsError
from swarmrace.export.command import once
from swarmrace.export.folders import each, find, grouped
from swarmrace.report.build import pairs_of
from swarmrace.report.facts import Facts, gather
from swarmrace.report.judging import plain
from swarmrace.report.model import Entry, TableData
from swarmrace.report.selection import Chosen, choose
from swarmrace.report.warnings import machine_of
from swarmrace.units import format_seconds
from swarmrace.verdict.across import Change, block_ratios, change, numbers
from swarmrace.verdict.matrix import FAMILY_ERROR, holm
from swarmrace.verdict.ratios import typical
from swarmrace.verdict.wording import value

FREE = ("seed", "attempt", "repetitions", "acceptance", "timeouts", "matrix")
"""Of a race: what may differ between two that are compared."""
_FREE_OPTIONS = ("program", "image", "nodes")
"""Of an entrant: where its program comes from. Which program it was is compared by its version."""


def compare(
    old: Sequence[Path],
    new: Sequence[Path],
    *,
    entrant: str | None = None,
    baseline: str | None = None,
    across_machines: bool = False,
) -> tuple[str, Exit]:
    """Return what is to be printed, and the exit code: 5 where a cell is slower, 6 where nothing
    could be decided, 0 otherwise.

    Args:
        old: results folders, or folders that hold some.
        new: likewise.
        entrant: whose change is asked for; the first of the headline by default.
        baseline: what both are set against; the second of the headline by default.
        across_machines: compare races of different machines all the same.

    Raises:
        ResultsError: a folder can't be read, the two have no cell in common, or hold what must not
            be mixed.
    """
    sides = [_read(old), _read(new)]
    cells = [(_name(a, b, sides), a, b) for a, b in _common(sides)]
    if not cells:
        raise ResultsError(
            "expected two races of one scenario, found no cell in both: OLD has "
            f"{_names(sides[0])}, NEW has {_names(sides[1])}"
        )
    for name, a, b in cells:
        for why in refusals(a, b, across_machines=across_machines):
            raise ResultsError(f"{name}: can't be compared: {why}")
    pairs = pairs_of(sides[1])
    first = pairs[0] if pairs else ("", "")
    entrant, baseline = entrant or first[0], baseline or first[1]
    _known(cells, entrant)
    rows = [_row(name, a, b, entrant, baseline) for name, a, b in cells]
    return _told(rows, entrant, baseline, sides)


class _Row:
    """What one cell says."""

    def __init__(self, name: str, raw: Change, base: Change | None, ratio: Change | None) -> None:
        self.name, self.raw, self.base, self.ratio = name, raw, base, ratio
        self.times: tuple[str, str] = ("–", "–")
        self.why = ""
        self.p: float | None = None

    @property
    def answer(self) -> str:
        if self.ratio is None:
            return f"undecided ({self.why})"
        if self.p is not None and self.p <= FAMILY_ERROR:
            return "slower (Holm)"
        if self.ratio.high is not None and self.ratio.differs:
            estimate = self.ratio.estimate
            slower = not isinstance(estimate, float) or estimate > 1
            return "slower, by itself" if slower else "faster"
        return "not shown to differ" if self.ratio.low is not None else "undecided (few blocks)"


def _row(name: str, a: Facts, b: Facts, entrant: str, baseline: str) -> _Row:
    times = [numbers(each.verdict, entrant) for each in (a, b)]
    raw = change(list(times[1].values()), list(times[0].values()))
    why = baseline_fault(a, b, baseline)
    base = ratio = None
    if not why:
        bases = [numbers(each.verdict, baseline) for each in (a, b)]
        base = change(list(bases[1].values()), list(bases[0].values()))
        ratio = change(*(block_ratios(e.verdict, entrant, baseline) for e in (b, a)))
    row = _Row(name, raw, base, ratio)
    row.why = why
    found = [typical(list(each.values())) for each in times]
    row.times = tuple("failed" if t is None else format_seconds(t) for t in found)  # type: ignore[assignment]
    return row


def baseline_fault(a: Facts, b: Facts, baseline: str) -> str:
    """Return why an entrant can't be the baseline of two races, or nothing."""
    one, other = (each.verdict.entrants.get(baseline) for each in (a, b))
    if one is None or other is None:
        return f"no baseline {baseline} in both" if baseline else "no baseline"
    if (one.kind, one.profile) != (other.kind, other.profile):
        return f"{baseline} is another entrant"
    versions = [
        {k: v for k, v in each.versions.items() if k not in ("kernel", "python", "swarmrace")}
        for each in (one, other)
    ]
    changed = sorted(
        k for k in versions[0] | versions[1] if versions[0].get(k) != versions[1].get(k)
    )
    if changed:
        was, now = versions[0].get(changed[0], "none"), versions[1].get(changed[0], "none")
        return f"{baseline} had another version: {changed[0]} {was}, now {now}"
    return ""


def refusals(a: Facts, b: Facts, *, across_machines: bool) -> Iterator[str]:
    """Yield why two folders of one cell must not be mixed."""
    formats = [_format(each.path) for each in (a, b)]
    if formats[0] != formats[1]:
        yield (
            f"results formats {formats[0]} and {formats[1]}: their definitions differ "
            "(docs/results-format.md)"
        )
    one, other = (_settings(each.verdict.race) for each in (a, b))
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            yield f"another scenario: race.{key} was {one.get(key)!r}, now {other.get(key)!r}"
    for name in a.verdict.entrants.keys() & b.verdict.entrants.keys():
        options = [_options(each.verdict.entrants[name].options) for each in (a, b)]
        if options[0] != options[1]:
            yield f"another scenario: {name} had the options {options[0]}, now {options[1]}"
    machines = [machine_of(each.verdict) for each in (a, b)]
    if machines[0] != machines[1] and not across_machines:
        yield f"other machines ({'; '.join(machines)}); --across-machines does it all the same"
    backends = [each.verdict.backend for each in (a, b)]
    if backends[0] != backends[1] and not across_machines:
        yield f"other backends ({' and '.join(backends)}); --across-machines does it all the same"


def _settings(race: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in race.items() if key not in FREE}


def _options(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in _FREE_OPTIONS}


def _format(folder: Path) -> int:
    return int(json.loads((folder / "race.json").read_bytes())["format"])


def _read(given: Sequence[Path]) -> Chosen:
    return choose(each(partial(gather, whole=False), grouped(once(find(given)))))


def _common(sides: Sequence[Chosen]) -> Iterator[tuple[Facts, Facts]]:
    for one in sides[0].cells:
        other = sides[1].at(one.swarm_size, one.seeders, one.file_size, one.network)
        if other is not None:
            yield one, other


def _name(a: Facts, b: Facts, sides: Sequence[Chosen]) -> str:
    return sides[1].name_of(b)


def _names(side: Chosen) -> str:
    return ", ".join(side.name_of(cell) for cell in side.cells)


def _known(cells: Sequence[tuple[str, Facts, Facts]], entrant: str) -> None:
    for name, a, b in cells:
        for which, each_ in (("OLD", a), ("NEW", b)):
            if entrant not in each_.verdict.entrants:
                raise ResultsError(
                    f"{name}: expected the entrant {entrant or '(give --entrant)'} in both, "
                    f"{which} has {', '.join(each_.verdict.entrants)}"
                )


def _told(
    rows: list[_Row], entrant: str, baseline: str, sides: Sequence[Chosen]
) -> tuple[str, Exit]:
    adjusted = holm([row.ratio.p_slower if row.ratio else None for row in rows])
    for row, p in zip(rows, adjusted, strict=True):
        row.p = p
    slower = [row for row in rows if row.p is not None and row.p <= FAMILY_ERROR]
    decided = [row for row in rows if row.ratio is not None and row.ratio.low is not None]
    code = Exit.ACCEPTANCE_UNDECIDED if not decided else Exit.OK
    code = Exit.ACCEPTANCE_MISSED if slower else code
    head = {
        Exit.ACCEPTANCE_MISSED: f"{entrant} is slower in {len(slower)} of {len(rows)} cells",
        Exit.ACCEPTANCE_UNDECIDED: f"{entrant}: undecided in {_cells(len(rows))}",
        Exit.OK: f"{entrant} is not shown to be slower in {_cells(len(rows))}",
    }[code]
    table = TableData(
        "Change",
        "change",
        ("cell", "old", "new", "new / old (raw)", f"{baseline or 'baseline'} new / old",
         "ratio of ratios", "answer"),
        tuple(
            (
                Entry(row.name),
                *map(Entry, row.times),
                Entry(_interval(row.raw)),
                Entry(_interval(row.base) if row.base else "–"),
                Entry(_interval(row.ratio) if row.ratio else "–"),
                Entry(row.answer),
            )
            for row in rows
        ),
    )  # fmt: skip
    lines = [f"{head}, by the ratio to {baseline} (ratio of ratios)." if decided else f"{head}."]
    lines += plain(table)
    moved = [row.name for row in rows if row.base is not None and row.base.differs]
    if moved:
        lines.append(
            f"! {baseline} itself moved in {', '.join(moved)}: raw times there say more of the "
            "machine than of the entrant"
        )
    lines.append("Raw times are shown and decide nothing; intervals of 95 %, unadjusted.")
    only = [_names(side) for side in sides]
    if only[0] != only[1]:
        lines.append(f"Cells of OLD: {only[0]}. Cells of NEW: {only[1]}.")
    return "\n".join(lines), code


def _interval(found: Change) -> str:
    if found.estimate is None and found.low is None:
        return "–"
    text = value(found.estimate)
    return text if found.low is None else f"{text} [{value(found.low)}, {value(found.high)}]"


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"any of {count} cells"
