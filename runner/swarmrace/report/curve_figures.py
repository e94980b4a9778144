"""Figures over time and over swarm size: growth, completion, leechers' curves, runs in order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from swarmrace.report.cell_reports import place_in_race
from swarmrace.report.drawing import (
    Drawing,
    Scale,
    linear,
    log_ticks,
    logarithmic,
    nice_ticks,
    short_seconds,
    stepped,
)
from swarmrace.report.facts import Facts, RunFacts
from swarmrace.report.matrix_figures import WIDTH
from swarmrace.report.model import CellReport, Growth, Report
from swarmrace.report.words import number_of
from swarmrace.units import format_seconds
from swarmrace.verdict.model import RunVerdict

_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 8.0, 22.0, 30.0
MAX_LINEAR_RATIO = 8.0
"""Times that differ by more than this factor are drawn on a logarithmic axis."""


def _kind(report: Report, entrant: str) -> str:
    colour = report.colour(entrant)
    return "r" if colour.reference else str(colour.index % 6)


def growth(each: Growth, report: Report) -> Drawing:
    """Draw t100 over swarm size on logarithmic axes: a dot for each run, lines joining medians."""
    width, height = 240.0, 196.0
    drawing = Drawing(
        width, height, f"growth-{each.slug}", f"Time to done over swarm size: {each.title}"
    )
    seconds = [value for s in each.series for _, value in s.points]
    seconds += [value for _, value in each.minimum]
    sizes = sorted({size for s in each.series for size, _ in s.medians})
    drawing.text(0, 12, each.title, "b")
    if not seconds:
        drawing.text(width / 2, height / 2, "every run failed", "m", "middle")
        return drawing
    low, high = min(seconds) / 1.2, max(seconds) * 1.2
    any_failed = any(s.failed for s in each.series)
    top = _TOP + (12 if any_failed else 0)
    x = logarithmic(sizes[0] / 1.15, sizes[-1] * 1.15, _LEFT, width - _RIGHT)
    y = logarithmic(low, high, height - _BOTTOM, top)
    _time_axis(drawing, y, log_ticks(low, high, 5), width)
    for size in sizes:
        drawing.text(x(size), height - _BOTTOM + 13, str(size), "m", "middle")
    drawing.text(width - _RIGHT, height - 4, "peers", "m", "end")
    drawing.path([(x(size), y(value)) for size, value in each.minimum], "u")
    for s in each.series:
        kind = _kind(report, s.entrant)
        dashed = " k" if kind == "r" else ""
        for size, value in s.points:
            label = f"{s.entrant}, {size} peers: {format_seconds(value)}"
            drawing.dot(x(size), y(value), f"d{kind} o", 2.3, label)
        for run in _unbroken(s.medians):
            drawing.path([(x(size), y(value)) for size, value in run], f"c l{kind}{dashed}")
        for size, failed in s.failed:
            label = f"{s.entrant}, {size} peers: {number_of(failed, 'run')} failed"
            drawing.cross(x(size), top - 6, f"x l{kind}", label)
    return drawing


def _unbroken(points: Sequence[tuple[int, float | None]]) -> Iterator[list[tuple[int, float]]]:
    """Yield the stretches between points without a value."""
    found: list[tuple[int, float]] = []
    for size, value in points:
        if value is None:
            yield found
            found = []
        else:
            found.append((size, value))
    yield found


def _time_axis(drawing: Drawing, y: Scale, ticks: Sequence[float], width: float) -> None:
    for tick in ticks:
        drawing.line(_LEFT, y(tick), width - _RIGHT, y(tick))
        drawing.text(_LEFT - 5, y(tick) + 3.5, short_seconds(tick), "m", "end")


def _across(values: Sequence[float], width: float) -> tuple[Scale, list[float]]:
    """Return the scale of times across a figure, and its ticks."""
    high = max(values)
    low = min((value for value in values if value > 0), default=high)
    if high > 0 and low > 0 and high / low > MAX_LINEAR_RATIO:
        return (
            logarithmic(low / 1.1, high * 1.05, _LEFT, width - _RIGHT),
            log_ticks(low / 1.1, high * 1.05, 7),
        )
    return linear(0, high or 1, _LEFT, width - _RIGHT), nice_ticks(0, high or 1, 6)


def _frame(drawing: Drawing, title: str, x: Scale, ticks: Sequence[float], unit: str) -> Scale:
    """Draw title and axes of a figure of shares over time; return the scale of shares."""
    height, width = drawing.height, drawing.width
    drawing.text(0, 12, title, "b")
    y = linear(0, 1, height - _BOTTOM, _TOP)
    for share in (0, 0.25, 0.5, 0.75, 1):
        drawing.line(_LEFT, y(share), width - _RIGHT, y(share))
        label = f"{100 * share:.0f} %" if unit == "%" else f"{share:g}"
        drawing.text(_LEFT - 5, y(share) + 3.5, label, "m", "end")
    for tick in ticks:
        drawing.line(x(tick), height - _BOTTOM, x(tick), height - _BOTTOM + 4, "a")
        drawing.text(x(tick), height - _BOTTOM + 14, short_seconds(tick), "m", "middle")
    return y


def completion(cell: CellReport, report: Report) -> Drawing:
    """Draw the share of leechers that are done over time, a line for each run. A run with
    unfinished leechers ends below 1."""
    facts = cell.facts
    drawing = Drawing(WIDTH, 214, f"done-{cell.anchor}", f"Leechers done over time, {cell.name}")
    times = [x.done for run in facts.runs for x in run.leechers if _done(x.done, x.outcome)]
    title = "Share of leechers done, a line for each run"
    if not times:
        drawing.text(0, 12, title, "b")
        drawing.text(WIDTH / 2, 110, "no transfer completed", "m", "middle")
        return drawing
    x, ticks = _across([value for value in times if value is not None], WIDTH)
    y = _frame(drawing, title, x, ticks, "1")
    for run in facts.runs:
        done = sorted(e.done for e in run.leechers if _done(e.done, e.outcome) and e.done)
        count = len(run.leechers)
        if not done or not count or any(e.outcome == "missing" for e in run.leechers):
            continue
        points = [(x(done[0]), y(0.0))]
        points += [(x(value), y((at + 1) / count)) for at, value in enumerate(done)]
        kind = _kind(report, run.entrant)
        drawing.path(stepped(points), f"w l{kind}")
        if len(done) < count:
            label = f"{run.run_id}: {len(done)} of {count} done"
            drawing.dot(*points[-1], f"d{kind}", 2.5, label)
    return drawing


def _done(seconds: float | None, outcome: str) -> bool:
    return seconds is not None and outcome == "completed"


def leecher_curves(cell: CellReport, report: Report) -> list[Drawing]:
    """Draw the curves of all leechers in each entrant's median run (`median_run`)."""
    found = []
    for name in cell.facts.verdict.entrants:
        run = median_run(cell.facts, name)
        if run is None:
            continue
        kind = cell.facts.kinds[name]
        curves = [e.curves[kind] for e in run.leechers if kind in e.curves]
        lasts = [float(curve[-1]) for curve in curves if len(curve)]
        if not lasts:
            continue
        total = "of what its interface received until done" if kind == "wire" else "of the payload"
        title = f"{name}, {run.run_id}: {kind}"
        drawing = Drawing(
            WIDTH, 190, f"curves-{cell.anchor}-{name}",
            f"Curves of all leechers of {run.run_id}: percent {total} over time",
        )  # fmt: skip
        x, ticks = linear(0, max(lasts), _LEFT, WIDTH - _RIGHT), nice_ticks(0, max(lasts), 6)
        y = _frame(drawing, title, x, ticks, "%")
        for curve in curves:
            points = [(x(float(value)), y(at / 100)) for at, value in enumerate(curve)]
            drawing.path(points, f"w l{_kind(report, name)}")
        found.append(drawing)
    return found


def median_run(facts: Facts, entrant: str) -> RunFacts | None:
    """Return an entrant's run with the median t100; None if it has no runs. Of an even number of
    runs it is the faster of the middle two."""
    runs = [r for r in facts.verdict.runs if r.entrant == entrant and r.status != "missing"]
    if not runs:
        return None
    ordered = sorted(runs, key=lambda run: run.t100 if isinstance(run.t100, float) else math.inf)
    wanted = ordered[(len(ordered) - 1) // 2].run_id
    return next((run for run in facts.runs if run.run_id == wanted), None)


def in_order(cell: CellReport, report: Report) -> Drawing:
    """Draw t100 of every run at its place in the race, which shows a drift."""
    runs = sorted(cell.facts.verdict.runs, key=lambda run: place_in_race(run.run_id))
    drawing = Drawing(WIDTH, 190, f"order-{cell.anchor}", f"Runs in the order raced, {cell.name}")
    drawing.text(0, 12, "t100 of the runs, in the order they were raced", "b")
    known = [run.t100 for run in runs if isinstance(run.t100, float) and run.t100 > 0]
    if not known:
        drawing.text(WIDTH / 2, 100, "no run has a time", "m", "middle")
        return drawing
    low, high = min(known) / 1.15, max(known) * 1.15
    top = _TOP + 12
    y = logarithmic(low, high, 190 - _BOTTOM, top)
    x = linear(-0.7, len(runs) - 0.3, _LEFT, WIDTH - _RIGHT)
    _time_axis(drawing, y, log_ticks(low, high, 5), WIDTH)
    for at, run in enumerate(runs):
        _place(drawing, x(at), y, run, _kind(report, run.entrant), top)
    drawing.text(_LEFT, 190 - 6, "first run", "m")
    drawing.text(WIDTH - _RIGHT, 190 - 6, "last run", "m", "end")
    return drawing


def _place(drawing: Drawing, x: float, y: Scale, run: RunVerdict, kind: str, top: float) -> None:
    if run.status == "missing":
        drawing.text(x, drawing.height - _BOTTOM + 10, "–", "m", "middle")
    elif isinstance(run.t100, float) and run.t100 > 0:
        label = f"{run.run_id}: {format_seconds(run.t100)}"
        drawing.dot(x, y(run.t100), f"d{kind}", 3, label)
    else:
        drawing.cross(x, top - 8, f"x l{kind}", f"{run.run_id}: failed")


def entrants_legend(report: Report) -> Drawing:
    """Draw the entrants' colours and names."""
    drawing = Drawing(WIDTH, 18, "entrants", "Legend: the entrants' colours")
    x = 0.0
    y = 13.0
    for colour in report.colours:
        width = 26 + 6.3 * len(colour.entrant)
        if x + width > WIDTH:
            x, y = 0.0, y + 16
        kind = "r" if colour.reference else str(colour.index % 6)
        drawing.line(x, y - 4, x + 16, y - 4, f"c l{kind}" + (" k" if colour.reference else ""))
        drawing.text(x + 21, y, colour.entrant, "t")
        x += width + 8
    if any(each.minimum for each in report.growth):
        if x + 130 > WIDTH:
            x, y = 0.0, y + 16
        drawing.path([(x, y - 4), (x + 16, y - 4)], "u")
        drawing.text(x + 21, y, "theoretical minimum", "t")
    drawing.height = y + 5
    return drawing
