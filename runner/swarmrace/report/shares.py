"""Where the time goes: the segments of each run's median leecher, averaged over runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from swarmrace.report.facts import SEGMENTS, Facts
from swarmrace.report.model import Entry, Share, Shares, TableData
from swarmrace.report.selection import Chosen
from swarmrace.units import canonical_size
from swarmrace.verdict.entries import entry
from swarmrace.verdict.model import Summary


def shares(chosen: Chosen) -> Iterator[Shares]:
    """Yield a group for each network and file size."""
    for network in chosen.networks:
        for file_size in chosen.file_sizes:
            rows = [
                share
                for cell in chosen.cells
                if (cell.network, cell.file_size) == (network, file_size)
                for share in shares_of(cell, chosen.name_of(cell))
            ]
            if rows:
                title = canonical_size(file_size) + (f", {network}" if network else "")
                slug = f"time-{canonical_size(file_size)}"
                slug += f"-net{chosen.networks.index(network)}" if network else ""
                yield Shares(title, slug, tuple(rows), SEGMENTS)


def shares_of(cell: Facts, name: str) -> Iterator[Share]:
    """Yield each entrant's shares in one cell; skip entrants without a complete run."""
    for entrant in cell.verdict.entrants:
        found = [run.segments for run in cell.runs if run.entrant == entrant and run.segments]
        if found:
            mean, seconds = averaged(found)
            yield Share(name, entrant, mean, seconds, len(found))


def averaged(runs: Sequence[Mapping[str, float]]) -> tuple[tuple[tuple[str, float], ...], float]:
    """Return the mean over runs of each segment's share of its run, and the mean total in seconds.

    A slow run has the same weight as a fast one.
    """
    totals = [math.fsum(run.values()) for run in runs]
    shares = tuple(
        (
            name,
            math.fsum(
                run.get(name, 0.0) / total for run, total in zip(runs, totals, strict=True) if total
            )
            / len(runs),
        )
        for name in SEGMENTS
        if any(name in run for run in runs)
    )
    return shares, math.fsum(totals) / len(runs)


def uploads(chosen: Chosen) -> TableData | None:
    """Return the first seeder's publish time, its steps and the upload speed, or None if no
    entrant uploads the payload when it publishes."""
    rows, anchors = [], []
    for cell in chosen.cells:
        for name, entrant in cell.verdict.entrants.items():
            publish = entrant.figures.get("publish")
            if not entrant.uploads or publish is None:
                continue
            steps = ", ".join(
                f"{step} {entry('publish', _bare(found))}"
                for step, found in entrant.publish_steps.items()
            )
            speed = entrant.figures.get("uploadSpeed")
            rows.append(
                (
                    Entry(chosen.name_of(cell)),
                    Entry(name),
                    number("publish", publish),
                    number("uploadSpeed", speed),
                    Entry(steps or "–"),
                )
            )
            anchors.append(chosen.name_of(cell))
    if not rows:
        return None
    return TableData(
        "Upload by its steps",
        "upload",
        ("cell", "entrant", "publish", "upload speed", "steps (median)"),
        tuple(rows),
        note="The first seeder publishes alone, before the race. Median over runs (min–max).",
        numeric=(2, 3),
        anchors=tuple(anchors),
    )


def number(name: str, found: Summary | None) -> Entry:
    """Return a figure as an entry that is sorted by its median; failed ones come last."""
    if found is None or found.value is None:
        return Entry("–", None)
    value = found.value if isinstance(found.value, float) else math.inf
    return Entry(entry(name, found), value)


def _bare(found: Summary) -> Summary:
    return Summary(value=found.value)
