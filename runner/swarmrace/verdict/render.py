"""A verdict for people: a page of 100 columns, in a terminal, as plain text or as a picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from swarmrace.records import MARK_PERCENTS
from swarmrace.units import canonical_size
from swarmrace.verdict.conditions import conditions
from swarmrace.verdict.entries import duration, ratio_entry
from swarmrace.verdict.model import Comparison, RunVerdict, Verdict
from swarmrace.verdict.rows import rows
from swarmrace.verdict.svg import FORMAT as SVG_FORMAT

WIDTH = 100
_MOST_BLOCKS = 20
_COLOURS = {"met": "green", "missed": "red", "undecided": "yellow"}


def render(verdict: Verdict, *, full: bool = True) -> Iterator[RenderableType]:
    """Yield what a rich console prints.

    Args:
        verdict: what to show.
        full: with conditions and definitions; without, the picture's shorter page.
    """
    race = verdict.race
    yield Text(f"swarmrace verdict: {verdict.name}, race {verdict.race_id}", style="bold")
    leechers = race["swarmSize"] - race["seeders"]
    yield Text(
        f"{race['swarmSize']} peers a swarm ({_count(race['seeders'], 'seeder')}, "
        f"{_count(leechers, 'leecher')}), {canonical_size(race['fileSize'])}, "
        f"{_count(race['repetitions'], 'repetition')} {race['order']}, "
        f"{'cold' if race['coldStart'] else 'warm'} starts, {verdict.backend}"
    )
    yield ""
    for line in verdict.headline:
        yield _item(Text(line, style="bold cyan"))
    for item in verdict.acceptance:
        yield _item(Text(f"Acceptance {item.text}", style=f"bold {_COLOURS[item.verdict]}"))
    if any("[" in line for line in verdict.headline):
        yield _item(Text("[…] is the 95 % confidence interval of the ratio.", style="dim"))
    yield from _tables(verdict)
    yield from _comparisons(verdict)
    yield from _runs(verdict)
    yield from _lines("Read before believing", _flags(verdict))
    yield from _lines("Broken or foreign files in the folder", verdict.faults)
    if full:
        yield from conditions(verdict)


def text(verdict: Verdict, *, width: int = WIDTH) -> str:
    """Return the page as plain text, without colour; the same verdict gives the same text."""
    console = Console(
        file=io.StringIO(),
        width=width,
        color_system=None,
        force_terminal=False,
        legacy_windows=False,
    )
    show(verdict, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def show(verdict: Verdict, console: Console, *, full: bool = True) -> None:
    """Print the page on a console."""
    for part in render(verdict, full=full):
        console.print(part, highlight=False, markup=False)


def svg(verdict: Verdict) -> str:
    """Return the page, without conditions and definitions, as an SVG picture.

    It names no font by an address, so that it looks the same offline.
    """
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    show(verdict, console, full=False)
    return console.export_svg(title="swarmrace", code_format=SVG_FORMAT)


def _tables(verdict: Verdict) -> Iterator[RenderableType]:
    names, comparison = list(verdict.entrants), None
    if len(names) == 2 and verdict.comparisons:
        [comparison] = verdict.comparisons
        names = [comparison.entrant, comparison.of]
    notes: list[str] = []
    for part in _parts(names):
        listed, notes = rows(verdict, part, comparison)
        table = _table()
        head = "median over runs (least–most)"
        table.add_column(head, style="dim", overflow="fold", min_width=len(head) + 1)
        for name in part:
            table.add_column(verdict.entrants[name].label, overflow="fold")
        if comparison is not None:
            table.add_column("ratio", style="bold", overflow="fold")
        for label, cells in listed:
            if cells:
                table.add_row(f"  {label}", *cells)
            else:
                table.add_row(Text(label, style="bold not dim"))
        yield ""
        yield table
    for note in notes:
        yield _item(Text(note))


def _comparisons(verdict: Verdict) -> Iterator[RenderableType]:
    """What the headline and the main table did not say."""
    lines: list[str] = []
    for each in verdict.comparisons:
        if each.text not in verdict.headline:
            unlike = not each.headline and not each.why_not
            lines.append(each.text + (f" ({each.unlike})" if unlike else ""))
        if len(verdict.entrants) > 2 and not each.why_not:
            lines.extend(_mark_lines(each))
    yield from _lines("Comparisons", lines)


def _mark_lines(each: Comparison) -> Iterator[str]:
    for kind in ("arrival", "delivery"):
        marks = {mark.percent: mark for mark in each.marks if mark.kind == kind}
        why = next((mark.why_not for mark in marks.values() if mark.why_not), "")
        pair = f"  {each.entrant} / {each.of}, {kind}"
        if why:
            yield f"{pair}: not compared: {why}"
            continue
        found = [
            f"{'first byte' if p == 0 else f't{p}'} {ratio_entry(marks[p].ratio)}"
            for p in MARK_PERCENTS
            if p in marks
        ]
        found += [
            f"{'longest stall' if name.startswith('longest') else 'variation'} "
            f"{ratio_entry(figure.ratio)}"
            for name, figure in each.stability.items()
            if figure.kind == kind
        ]
        yield f"{pair}: {', '.join(found)}"


def _runs(verdict: Verdict) -> Iterator[RenderableType]:
    blocks: dict[int, dict[str, RunVerdict]] = {}
    for run in verdict.runs:
        blocks.setdefault(run.repetition, {})[run.entrant] = run
    names, left_out = list(verdict.entrants), 0
    shown = list(blocks)
    if len(blocks) > _MOST_BLOCKS:
        shown = [b for b, runs in blocks.items() if any(_odd(run) for run in runs.values())]
        shown, left_out = shown[:_MOST_BLOCKS], len(blocks) - len(shown[:_MOST_BLOCKS])
    yield ""
    for part in _parts(names):
        table = _table()
        table.add_column("Runs: median leecher's t100 (last)", style="dim")
        for name in part:
            table.add_column(name, overflow="fold")
        for block in shown:
            runs = [blocks[block].get(name) for name in part]
            table.add_row(f"  block {block}", *(_run(run) for run in runs))
        yield table
    if left_out:
        yield _item(Text(f"{_count(left_out, 'further block')} in verdict.json"))
    reasons = [f"{run.run_id}: {run.status}: {run.reason}" for run in verdict.runs if _odd(run)]
    yield from _lines("Failed, missing and damaged runs", _cut(reasons, 30))


def _odd(run: RunVerdict) -> bool:
    return run.status != "counted" or bool(run.reason)


def _run(run: RunVerdict | None) -> str:
    if run is None:
        return "–"
    if run.status == "missing":
        done = f" ({run.completed} of {run.leechers} done)" if run.leechers else ""
        return f"missing{done}"
    last = f" ({duration(run.last)})" if run.status == "counted" else ""
    return f"{duration(run.t100)}{last}"


def _flags(verdict: Verdict) -> list[str]:
    return [f"{flag.entrant}: {flag.text}" if flag.entrant else flag.text for flag in verdict.flags]


def _cut(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[:most], f"… and {len(lines) - most} more"]


def _lines(title: str, lines: list[str]) -> Iterator[RenderableType]:
    if not lines:
        return
    yield ""
    yield Text(title, style="bold")
    for line in lines:
        indent = len(line) - len(line.lstrip())
        yield Padding(Text(line.strip()), (0, 0, 0, 2 + indent))


def _item(line: Text) -> RenderableType:
    return Padding(line, (0, 0, 0, 2))


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def _parts(names: list[str]) -> list[list[str]]:
    """Return the names in groups of at most three, as even as can be."""
    groups = -(-len(names) // 3)
    ends = [round(len(names) * k / groups) for k in range(groups + 1)]
    return [names[low:high] for low, high in pairwise(ends)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
