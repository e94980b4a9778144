"""`swarmrace compare OLD NEW`: what changed between two races, or two sweeps, of one scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from swarmrace.errors import Exit, ResultsError
from swarmrace.export.command import one_of_each
from swarmrace.export.folders import find_results, group_parts, map_folders
from swarmrace.report.build import pairs_of
from swarmrace.report.facts import Facts, gather
from swarmrace.report.judging import plain
from swarmrace.report.model import Entry, TableData
from swarmrace.report.selection import Chosen, axes_of, choose
from swarmrace.report.warnings import machine_of
from swarmrace.statistics.significance import FAMILY_ERROR
from swarmrace.units import format_seconds
from swarmrace.verdict.across import Change, block_ratios, change, numbers
from swarmrace.verdict.matrix import holm
from swarmrace.verdict.ratios import typical
from swarmrace.verdict.wording import value

FREE = ("seed", "attempt", "repetitions", "acceptance", "timeouts", "matrix")
"""Keys of a race that may differ between two compared races."""
_FREE_OPTIONS = ("program", "image", "nodes")
"""Options of an entrant that only set where its program comes from. Programs are compared by their
versions."""


def compare(
    old: Sequence[Path],
    new: Sequence[Path],
    *,
    entrant: str | None = None,
    baseline: str | None = None,
    across_machines: bool = False,
) -> tuple[str, Exit]:
    """Return the text to print and the exit code: 5 if a cell is slower, 6 if nothing could be
    decided, 0 otherwise.

    Args:
        old: results folders, or folders that hold some (a sweep).
        new: the same for the newer results.
        entrant: the entrant to compare; the first one of the headline by default.
        baseline: the entrant that serves as baseline; the second one of the headline by default.
        across_machines: whether to compare races of different machines.

    Raises:
        ResultsError: a folder can't be read, or the two have no cell in common or can't be
            compared.
    """
    sides = [_read(old), _read(new)]
    cells = [(_name(a, b, sides), a, b) for a, b in _common(sides)]
    if not cells:
        raise ResultsError(
            "expected two races of one scenario, found no common cell: OLD has "
            f"{_names(sides[0])}, NEW has {_names(sides[1])}"
        )
    for name, a, b in cells:
        for why in refusals(a, b, across_machines=across_machines):
            raise ResultsError(f"{name}: can't be compared: {why}")
    pairs = pairs_of(sides[1])
    first = pairs[0] if pairs else (_only_entrant(sides[1]), "")
    entrant, baseline = entrant or first[0], baseline or first[1]
    _require_entrant(cells, entrant)
    rows = [_row(name, a, b, entrant, baseline) for name, a, b in cells]
    return _text_and_exit(rows, entrant, baseline, sides)


class _ComparisonRow:
    """The change in one cell."""

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
            return "slower (unadjusted)" if slower else "faster"
        return "not shown to differ" if self.ratio.low is not None else "undecided (few blocks)"


def _row(name: str, a: Facts, b: Facts, entrant: str, baseline: str) -> _ComparisonRow:
    times = [numbers(each.verdict, entrant) for each in (a, b)]
    raw = change(list(times[1].values()), list(times[0].values()))
    why = baseline_fault(a, b, baseline)
    if baseline == entrant:
        why = f"{baseline} can't be its own baseline"
    base = ratio = None
    if not why:
        bases = [numbers(each.verdict, baseline) for each in (a, b)]
        base = change(list(bases[1].values()), list(bases[0].values()))
        ratio = change(*(block_ratios(e.verdict, entrant, baseline) for e in (b, a)))
    row = _ComparisonRow(name, raw, base, ratio)
    row.why = why
    row.times = _shown(times[0]), _shown(times[1])
    return row


def _shown(times: Mapping[int, float]) -> str:
    if not times:
        return "–"
    seconds = typical(list(times.values()))
    return "failed" if seconds is None else format_seconds(seconds)


def _only_entrant(side: Chosen) -> str:
    names = {name for cell in side.cells for name in cell.verdict.entrants}
    return names.pop() if len(names) == 1 else ""


def baseline_fault(a: Facts, b: Facts, baseline: str) -> str:
    """Return why an entrant can't be the baseline of two races, or an empty string."""
    one, other = (each.verdict.entrants.get(baseline) for each in (a, b))
    if one is None or other is None:
        return f"{baseline} isn't in both" if baseline else "no baseline"
    if (one.kind, one.profile) != (other.kind, other.profile):
        return f"{baseline} has another kind or profile"
    versions = [
        {k: v for k, v in each.versions.items() if k not in ("kernel", "python", "swarmrace")}
        for each in (one, other)
    ]
    changed = sorted(
        k for k in versions[0] | versions[1] if versions[0].get(k) != versions[1].get(k)
    )
    if changed:
        was, now = versions[0].get(changed[0], "none"), versions[1].get(changed[0], "none")
        return f"{baseline} changed its version: {changed[0]} was {was}, is {now}"
    return ""


def refusals(a: Facts, b: Facts, *, across_machines: bool) -> Iterator[str]:
    """Yield each reason why two folders of one cell must not be compared."""
    if a.format != b.format:
        yield (
            f"results formats {a.format} and {b.format}: their definitions differ "
            "(docs/results-format.md)"
        )
    if a.definitions and b.definitions and a.definitions != b.definitions:
        yield (
            f"different definitions ({a.definitions} and {b.definitions}): race both with one "
            "version of swarmrace"
        )
    one, other = (_settings(each.verdict.race) for each in (a, b))
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            yield f"another scenario: race.{key} was {one.get(key)!r}, is {other.get(key)!r}"
    for name in a.verdict.entrants.keys() & b.verdict.entrants.keys():
        options = [_options(each.verdict.entrants[name].options) for each in (a, b)]
        if options[0] != options[1]:
            yield f"another scenario: options of {name} were {options[0]}, are {options[1]}"
    machines = [machine_of(each.verdict) for each in (a, b)]
    if machines[0] != machines[1] and not across_machines:
        yield f"different machines ({'; '.join(machines)}); use --across-machines to compare them"
    backends = [each.verdict.backend for each in (a, b)]
    if backends[0] != backends[1] and not across_machines:
        yield (
            f"different backends ({' and '.join(backends)}); use --across-machines to compare them"
        )


def _settings(race: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in race.items() if key not in FREE}


def _options(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in _FREE_OPTIONS}


def _read(given: Sequence[Path]) -> Chosen:
    folders = group_parts(one_of_each(find_results(given))[0])
    return choose(map_folders(partial(gather, verdict_only=True), folders))


def _common(sides: Sequence[Chosen]) -> Iterator[tuple[Facts, Facts]]:
    for one in sides[0].cells:
        others = sides[1].at(*axes_of(one))
        if others:
            same = [each for each in others if each.key == one.key]
            yield one, (same or others)[0]


def _name(a: Facts, b: Facts, sides: Sequence[Chosen]) -> str:
    return sides[1].name_of(b)


def _names(side: Chosen) -> str:
    return ", ".join(side.name_of(cell) for cell in side.cells) or "none"


def _require_entrant(cells: Sequence[tuple[str, Facts, Facts]], entrant: str) -> None:
    for name, a, b in cells:
        for side, facts in (("OLD", a), ("NEW", b)):
            if entrant not in facts.verdict.entrants:
                raise ResultsError(
                    f"{name}: expected entrant {entrant or '(give --entrant)'} in both, found "
                    f"{', '.join(facts.verdict.entrants)} in {side}"
                )


def _text_and_exit(
    rows: list[_ComparisonRow], entrant: str, baseline: str, sides: Sequence[Chosen]
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
        Exit.ACCEPTANCE_UNDECIDED: f"{entrant}: undecided in {_cells(len(rows), 'all')}",
        Exit.OK: f"{entrant} is not shown to be slower in {_cells(len(rows), 'any of')}",
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
    changed = [row.name for row in rows if row.base is not None and row.base.differs]
    if changed:
        lines.append(
            f"! {baseline} itself changed in {', '.join(changed)}: raw times there depend more on "
            "the machine than on the entrant"
        )
    lines.append("Raw times decide nothing. Intervals: 95 %, unadjusted.")
    only = [_names(side) for side in sides]
    if only[0] != only[1]:
        lines.append(f"Cells of OLD: {only[0]}. Cells of NEW: {only[1]}.")
    return "\n".join(lines), code


def _interval(found: Change) -> str:
    if found.estimate is None and found.low is None:
        return "–"
    text = value(found.estimate)
    return text if found.low is None else f"{text} [{value(found.low)}, {value(found.high)}]"


def _cells(count: int, which: str) -> str:
    return "1 cell" if count == 1 else f"{which} {count} cells"
