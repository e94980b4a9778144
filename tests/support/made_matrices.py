"""Folders of several cells, from synthetic numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from made_results import build, scenario_of

RIVALS = {"a": {"kind": "synthetic"}, "b": {"kind": "bittorrent"}}
"""Two systems of equal profiles: a's time is set over b's."""

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
    """Write one cell: by entrant the time of each block, of every leecher alike or one by one."""
    keys = {"swarmSize": 4, "seeders": 1, "fileSize": "10MB"} | race
    blocks = len(next(iter(times.values())))
    scenario = scenario_of(entrants, **keys, repetitions=blocks)
    leechers = keys["swarmSize"] - keys["seeders"]
    spread = {
        name: [[t] * leechers if isinstance(t, int | float) else t for t in found]
        for name, found in times.items()
    }
    return build(folder, scenario, spread, peer=peer, run=run)
