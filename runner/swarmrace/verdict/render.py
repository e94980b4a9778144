"""The verdict as readable text: 100 columns, in a terminal, as plain text or as a picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from swarmrace.units import canonical_size
from swarmrace.verdict.conditions import conditions
from swarmrace.verdict.entries import duration
from swarmrace.verdict.layout import FigureColumn, Line, tables
from swarmrace.verdict.model import RunVerdict, Verdict
from swarmrace.verdict.rows import not_compared, ratio_rows, rows
from swarmrace.verdict.svg import FORMAT as SVG_FORMAT
from swarmrace.verdict.wording import RATIO_NOTE

WIDTH = 100
_T = TypeVar("_T")
_MAX_BLOCKS = 20
COLOURS = {"met": "green", "missed": "red", "undecided": "yellow"}


def interval_note(verdict: Verdict) -> Line:
    """Return the explanation of the brackets in a headline."""
    level = f"{100 * verdict.confidence:.3g} %"
    return Line(f"[…] is the {level} confidence interval of the ratio.", "dim")


def render(
    verdict: Verdict, *, width: int, wide: bool, full: bool = True
) -> Iterator[RenderableType]:
    """Yield the page for a rich console; print it without cropping, so that nothing is cut.

    Args:
        verdict: what to show.
        width: width at which lines wrap and into which tables are fitted.
        wide: whether tables may be wider, as in a file; otherwise they are folded.
        full: whether conditions and definitions are included; the picture leaves them out.
    """
    yield from head(verdict)
    for line in verdict.headline:
        yield Line(line, "bold cyan")
    for item in verdict.acceptance:
        yield Line(f"Acceptance {item.text}", f"bold {COLOURS[item.verdict]}")
    if any("[" in line for line in verdict.headline):
        yield interval_note(verdict)
    yield from (Line(note) for note in verdict.head_notes)
    yield from _tables(verdict, width, wide=wide)
    yield from _comparisons(verdict, width, wide=wide)
    yield from _runs(verdict, width, wide=wide)
    yield from _lines("Read before believing", flags(verdict))
    yield from _lines("Broken or foreign files in the folder", verdict.faults)
    if full:
        yield from conditions(verdict)


def head(verdict: Verdict) -> Iterator[RenderableType]:
    """Yield what was raced, and whether it finished."""
    race = verdict.race
    yield Text(f"swarmrace verdict: {verdict.name}, race {verdict.race_id}", style="bold")
    if verdict.status != "finished":
        raced = sum(run.status != "missing" for run in verdict.runs)
        how = "interrupted" if verdict.status == "interrupted" else "not finished"
        yield Line(f"{how}: {raced} of {len(verdict.runs)} runs raced", "bold yellow", 0)
    leechers = race["swarmSize"] - race["seeders"]
    yield Text(
        f"{race['swarmSize']} peers per swarm ({_count(race['seeders'], 'seeder')}, "
        f"{_count(leechers, 'leecher')}), {canonical_size(race['fileSize'])}, "
        f"{_count(race['repetitions'], 'repetition')} {race['order']}, "
        f"{'cold' if race['coldStart'] else 'warm'} starts, {verdict.backend}"
    )
    yield ""


def text(verdict: Verdict, *, width: int = WIDTH, wide: bool = True) -> str:
    """Return the page as plain text without colour. The same verdict always gives the same text.

    Args:
        verdict: what to show.
        width: width at which lines wrap.
        wide: whether tables may be wider, as in a file; otherwise they are folded.
    """
    console = Console(
        file=io.StringIO(),
        width=width,
        color_system=None,
        force_terminal=not wide,
        legacy_windows=False,
    )
    show(verdict, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def show(verdict: Verdict, console: Console, *, full: bool = True) -> None:
    """Print the page on a console: fitted into a terminal, otherwise as wide as its tables."""
    wide = not console.is_terminal
    for part in render(verdict, width=console.width, wide=wide, full=full):
        console.print(part, highlight=False, markup=False, crop=False)


def svg(verdict: Verdict) -> str:
    """Return the page, without conditions and definitions, as an SVG picture.

    It refers to no font by URL, so that it looks the same offline.
    """
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    show(verdict, console, full=False)
    lines = console.export_text(clear=False).splitlines()
    console.width = max([WIDTH, *map(cell_len, lines)])
    return console.export_svg(title="swarmrace", code_format=SVG_FORMAT)


def _tables(verdict: Verdict, width: int, *, wide: bool) -> Iterator[RenderableType]:
    names, comparison = list(verdict.entrants), None
    if len(names) == 2 and verdict.comparisons:
        [comparison] = verdict.comparisons
        names = [comparison.entrant, comparison.of]
    notes: list[str] = []
    for part in _parts(names):
        listed, found = rows(verdict, part, comparison)
        notes.extend(note for note in found if note not in notes)
        yield ""
        yield from tables(
            "median over runs (least–most)",
            listed,
            [FigureColumn(verdict.entrants[name].label) for name in part],
            FigureColumn("ratio", "bold") if comparison is not None else None,
            width=width,
            wide=wide,
        )
    for note in notes:
        yield Line(note)


def _comparisons(verdict: Verdict, width: int, *, wide: bool) -> Iterator[RenderableType]:
    """Yield the comparisons that headline and main table don't show."""
    lines: list[str] = []
    for each in verdict.comparisons:
        if each.text not in verdict.headline:
            unlike = not each.headline and not each.why_not
            lines.append(each.text + (f" ({each.unlike})" if unlike else ""))
    yield from _lines("Comparisons", lines)
    pairs = [each for each in verdict.comparisons if not each.why_not]
    if len(verdict.entrants) < 3 or not pairs:
        return
    for part in _parts(pairs):
        yield ""
        yield from tables(
            "Ratios of times",
            ratio_rows(part),
            [FigureColumn(f"{each.entrant} / {each.of}") for each in part],
            None,
            width=width,
            wide=wide,
        )
    if any(each.paired for each in pairs):
        yield Line(RATIO_NOTE)
    for each in pairs:
        for kind, why in not_compared(each).items():
            yield Line(f"{each.entrant} / {each.of}, {kind} not compared: {why}")


def _runs(verdict: Verdict, width: int, *, wide: bool) -> Iterator[RenderableType]:
    blocks: dict[int, dict[str, RunVerdict]] = {}
    for run in verdict.runs:
        blocks.setdefault(run.repetition, {})[run.entrant] = run
    names, left_out = list(verdict.entrants), 0
    shown = list(blocks)
    if len(blocks) > _MAX_BLOCKS:
        shown = [b for b, runs in blocks.items() if any(map(_has_problem, runs.values()))]
        shown, left_out = shown[:_MAX_BLOCKS], len(blocks) - len(shown[:_MAX_BLOCKS])
    yield ""
    for part in _parts(names):
        listed = [
            (f"block {block}", [_run(blocks[block].get(name)) for name in part]) for block in shown
        ]
        yield from tables(
            "Runs: position in block, median leecher's t100 (last)",
            listed,
            [FigureColumn(name) for name in part],
            None,
            width=width,
            wide=wide,
        )
    if left_out:
        yield Line(f"{_count(left_out, 'more block')} in verdict.json")
    reasons = [
        f"{run.run_id}: {run.status}: {run.reason}" for run in verdict.runs if _has_problem(run)
    ]
    yield from _lines("Failed, missing and damaged runs", _cut(reasons, 30))


def _has_problem(run: RunVerdict) -> bool:
    return run.status != "counted" or bool(run.reason)


def _run(run: RunVerdict | None) -> str:
    if run is None:
        return "–"
    if run.status == "missing":
        done = f" ({run.completed} of {run.leechers} done)" if run.leechers else ""
        return f"#{run.place} missing{done}"
    last = f" ({duration(run.last)})" if run.status == "counted" else ""
    return f"#{run.place} {duration(run.t100)}{last}"


def flags(verdict: Verdict) -> list[str]:
    """Return each flag as a line."""
    return [f"{flag.entrant}: {flag.text}" if flag.entrant else flag.text for flag in verdict.flags]


def _cut(lines: list[str], limit: int) -> list[str]:
    return lines if len(lines) <= limit else [*lines[:limit], f"… and {len(lines) - limit} more"]


def _lines(title: str, lines: list[str]) -> Iterator[RenderableType]:
    if not lines:
        return
    yield ""
    yield Text(title, style="bold")
    for line in lines:
        indent = len(line) - len(line.lstrip())
        yield Line(line.strip(), indent=2 + indent)


def _parts(names: list[_T]) -> list[list[_T]]:
    """Return the names in groups of at most three, as even as possible."""
    groups = -(-len(names) // 3)
    ends = [round(len(names) * k / groups) for k in range(groups + 1)]
    return [names[low:high] for low, high in pairwise(ends)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
