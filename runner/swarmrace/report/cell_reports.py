"""The report on one cell: what was raced, the answer, times, every run, failures, settings."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from swarmrace.report.facts import Facts
from swarmrace.report.model import CellReport, Entry, TableData
from swarmrace.report.selection import Chosen, outcome
from swarmrace.report.shares import number
from swarmrace.report.warnings import machine_of
from swarmrace.report.words import number_of
from swarmrace.units import canonical_size
from swarmrace.verdict.conditions import setting_lines
from swarmrace.verdict.entries import duration, ratio_entry
from swarmrace.verdict.model import FAILED, Comparison, MarkRatio, Ratio
from swarmrace.verdict.registry import STABILITY, mark_label
from swarmrace.verdict.render import flags

_KINDS = ("arrival", "written", "delivery", "wire")
_PERCENTS = (0, 1, 10, 50, 90)
_MAX_FAILURES = 200
_MAX_RATIOS = 7


def cells(chosen: Chosen) -> Iterator[CellReport]:
    """Yield each cell's report, in order."""
    for facts in chosen.cells:
        name = chosen.name_of(facts)
        verdict = facts.verdict
        yield CellReport(
            name=name,
            anchor=anchor_of(name),
            facts=facts,
            title=_title(facts),
            head=tuple(_head(facts)),
            answer=(
                *verdict.headline,
                *(f"Acceptance {item.text}" for item in verdict.acceptance),
            ),
            warnings=(*verdict.head_notes, *flags(verdict)),
            times=tuple(_times(facts)),
            runs=_runs(facts),
            failures=tuple(_failures(facts)),
            settings=tuple(setting_lines(verdict)),
            provenance=tuple(_provenance(facts)),
            attempts=tuple(
                f"{each.folder}: attempt {each.attempt}, race {each.verdict.race_id}: "
                f"{outcome(each)}; not counted"
                for each in chosen.attempts[facts.key]
            ),
        )


def anchor_of(name: str) -> str:
    """Return a cell's name as an anchor and file name."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", name)


def _title(facts: Facts) -> str:
    peers = f"{facts.swarm_size} peers, {number_of(facts.seeders, 'seeder')}"
    return f"{peers}, {canonical_size(facts.file_size)}" + (
        f", {facts.network}" if facts.network else ""
    )


def _head(facts: Facts) -> Iterator[str]:
    race, verdict = facts.verdict.race, facts.verdict
    blocks = race["repetitions"]
    yield (
        f"{number_of(blocks, 'block')} {race['order']}, "
        f"{'cold' if race['coldStart'] else 'warm'} starts, {verdict.backend}; "
        f"{facts.raced} of {len(verdict.runs)} runs raced, {verdict.status}"
    )
    for name, bound in facts.bounds.items():
        words = {"link": "the link", "neither": "neither CPU nor link", "CPU": "CPU"}
        what = words.get(bound.what)
        yield f"{name}: bounded by {what} ({bound.text})" if what else f"{name}: {bound.text}"


def _times(facts: Facts) -> Iterator[TableData]:
    """Yield one table: each entrant's times, and the headline's ratios, rivals first."""
    names = list(facts.verdict.entrants)
    pairs = [each for each in facts.verdict.comparisons if not each.why_not and each.headline]
    pairs = sorted(pairs, key=lambda each: each.reference)[:_MAX_RATIOS]
    unpaired = [each for each in pairs if each.why_not_paired]
    note = "Median over runs (min–max). A ratio is that of the typical block, with its 95 % "
    note += "interval, unadjusted. " + "".join(
        f"{each.entrant} and {each.of} are not paired: {each.why_not_paired}. " for each in unpaired
    )
    yield TableData(
        "Times",
        "times",
        ("mark", *names, *(f"{each.entrant} / {each.of}" for each in pairs)),
        tuple(_rows(facts, names, pairs)),
        note=note.strip(),
        numeric=tuple(range(1, len(names) + 1)),
    )


def _rows(
    facts: Facts, names: Sequence[str], pairs: Sequence[Comparison]
) -> Iterator[tuple[Entry, ...]]:
    entrants = [facts.verdict.entrants[name] for name in names]
    marks: list[dict[tuple[str, float], MarkRatio]]
    marks = [{(m.kind, m.percent): m for m in each.marks} for each in pairs]

    def row(label: str, figure: str, ratios: Sequence[Entry]) -> tuple[Entry, ...]:
        figures = [number(figure, entrant.figures.get(figure)) for entrant in entrants]
        return (Entry(label), *figures, *ratios)

    for kind in _KINDS:
        for percent in _PERCENTS:
            figure = f"{kind}{percent}"
            if not any(figure in entrant.figures for entrant in entrants):
                continue
            found = [each.get((kind, percent)) for each in marks]
            on = "on the wire" if kind == "wire" else f"({kind})"
            ratios = [_ratio(m.ratio, m.why_not) if m else Entry("–") for m in found]
            yield row(f"{mark_label(percent)} {on}", figure, ratios)
    yield row("t100 (done), median leecher", "t100", [_ratio(e.t100, "") for e in pairs])
    yield row("t100, last leecher", "last", [_ratio(e.last, "") for e in pairs])
    yield row("publish, first seeder", "publish", [_ratio(e.publish, "") for e in pairs])
    for name, kind in STABILITY.items():
        if any(name in entrant.figures for entrant in entrants):
            what = "longest stall" if "Stall" in name else "variation"
            stable = [e.stability.get(name) for e in pairs]
            ratios = [_ratio(f.ratio, f.why_not) if f else Entry("–") for f in stable]
            yield row(f"{what} ({kind})", name, ratios)


def _ratio(found: Ratio | None, why_not: str) -> Entry:
    if found is None:
        return Entry("not compared" if why_not else "–")
    value = found.estimate if isinstance(found.estimate, float) else None
    return Entry(ratio_entry(found), math.inf if found.estimate == FAILED else value)


def _runs(facts: Facts) -> TableData:
    """Return the runs in the order in which they were raced."""
    records = {run.run_id: run for run in facts.runs}
    rows = []
    for run in sorted(facts.verdict.runs, key=lambda run: place_in_race(run.run_id)):
        load = run.foreign_cpu_share
        rows.append(
            (
                Entry(run.run_id, place_in_race(run.run_id)),
                Entry(run.entrant),
                Entry(str(run.repetition + 1), run.repetition),
                Entry(str(run.place), run.place),
                Entry(
                    "missing" if run.status == "missing" else duration(run.t100), _number(run.t100)
                ),
                Entry("–" if run.status == "missing" else duration(run.last), _number(run.last)),
                Entry(f"{run.completed} of {run.leechers}" if run.leechers else "–", run.completed),
                Entry("–" if load is None else f"{100 * load:.0f} %", load),
                Entry(", ".join(map(str, run.seeders))),
            )
        )
    return TableData(
        "Runs, in the order they were raced",
        "runs",
        (
            "run",
            "entrant",
            "block",
            "place",
            "t100",
            "last leecher",
            "completed",
            "other work",
            "seeders",
        ),
        tuple(rows),
        note="Place: position in the block. Other work: share of the machine's CPUs that other "
        "processes used." + ("" if records else " No run left records."),
        numeric=(2, 3, 4, 5, 6, 7),
    )


def place_in_race(run_id: str) -> int:
    """Return a run's position in its race, from 0, with which its id begins."""
    return int(run_id.split("-")[0])


def _number(value: object) -> float | None:
    if value == FAILED:
        return math.inf
    return value if isinstance(value, float) else None


def _failures(facts: Facts) -> Iterator[str]:
    """Yield a line for each failure and missing run, as reported."""
    missing = [run for run in facts.verdict.runs if run.status == "missing"]
    lines = [f"{run.run_id}: {run.status}: {run.reason}" for run in missing]
    explained = {run.run_id for run in missing}
    for each in facts.runs:
        reasons = [(leecher.peer, leecher.reason) for leecher in each.leechers if leecher.reason]
        lines += [f"{each.run_id}, peer {peer}: {reason}" for peer, reason in reasons]
        if reasons:
            explained.add(each.run_id)
    lines += [
        f"{run.run_id}: {run.reason}"
        for run in facts.verdict.runs
        if run.reason and run.run_id not in explained
    ]
    yield from lines[:_MAX_FAILURES]
    if len(lines) > _MAX_FAILURES:
        yield f"… and {len(lines) - _MAX_FAILURES} more (data/transfers.csv)"


def _provenance(facts: Facts) -> Iterator[str]:
    verdict = facts.verdict
    yield (
        f"race {verdict.race_id} of {verdict.created_utc}, folder {facts.folder}, seed "
        f"{verdict.race['seed']}, attempt {facts.attempt}, commit {facts.commit or 'not recorded'}"
    )
    yield f"machine: {machine_of(verdict)}"
    if verdict.nodes:
        yield f"nodes: {', '.join(verdict.nodes)}"
    yield from verdict.pods
    for name, entrant in verdict.entrants.items():
        versions = ", ".join(f"{key} {value}" for key, value in entrant.versions.items())
        if versions:
            yield f"{name}: {versions}"
