"""Results folders of several cells with made-up times, and reports on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from made_results import build, scenario_of
from swarmrace.report.command import make_report
from swarmrace.report.model import Report

RIVALS = {"a": {"kind": "synthetic"}, "b": {"kind": "bittorrent"}}
"""Two systems with matching profiles; ratios are a's time / b's."""

Blocks = Sequence[Sequence[float] | float | None]


def cell(
    folder: Path,
    times: Mapping[str, Blocks],
    *,
    entrants: Mapping[str, Mapping[str, Any]] = RIVALS,
    peer: Callable[[Any], Any] = lambda result: result,
    run: Callable[[Any], Any] = lambda result: result,
    **race: Any,
) -> Path:
    """Write one cell.

    Args:
        folder: where to write it.
        times: by entrant, for each block the time of every leecher, or a list with one for each.
        entrants: the entrants' options.
        peer: changes each peer's result.
        run: changes each run's result.
        race: further keys of the race.
    """
    keys = {"swarmSize": 4, "seeders": 1, "fileSize": "10MB"} | race
    blocks = len(next(iter(times.values())))
    scenario = scenario_of(entrants, **keys, repetitions=blocks)
    leechers = keys["swarmSize"] - keys["seeders"]
    spread = {
        name: [[t] * leechers if isinstance(t, int | float) else t for t in found]
        for name, found in times.items()
    }
    return build(folder, scenario, spread, peer=peer, run=run)


SIX = [1.0, 1.02, 0.98, 1.01, 0.99, 1.0]
"""Times of six blocks that vary a little."""


def times(factor: float, count: int = 6) -> list[float]:
    """Return the first `count` of `SIX`, times `factor`."""
    return [factor * value for value in SIX[:count]]


def report_of(*folders: Path, accept: tuple[str, ...] = ()) -> Report:
    """Return the report on results folders."""
    return make_report(folders, accept=accept)[0]
