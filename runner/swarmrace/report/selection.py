"""Chooses the folder that counts for each cell, and lists the planned cells without results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmrace.export.cells import unique_names
from swarmrace.export.folders import SWEEP_FILE, counted, find_sweeps
from swarmrace.report.facts import Facts


@dataclass(frozen=True, slots=True)
class Chosen:
    """The cells of a report, in order, and their names."""

    cells: tuple[Facts, ...]
    names: Mapping[str, str]
    """Unique name of each cell, by its key."""
    attempts: Mapping[str, tuple[Facts, ...]]
    """Other attempts at each cell, by its key. They are listed, but are in no figure."""
    planned: tuple[str, ...]
    """Names of planned cells without results."""
    axes: tuple[tuple[int, int, int, str], ...] = ()
    """(swarm size, seeders, file size, network) of these cells."""

    def name_of(self, facts: Facts) -> str:
        """Return a cell's name."""
        return self.names[facts.key]

    def at(self, swarm_size: int, seeders: int, file_size: int, network: str) -> list[Facts]:
        """Return the cells with these values on the axes: several if they differ in other
        settings."""
        wanted = (swarm_size, seeders, file_size, network)
        return [each for each in self.cells if axes_of(each) == wanted]

    @property
    def swarm_sizes(self) -> tuple[int, ...]:
        """Every swarm size, ascending."""
        return self._axis(0)

    @property
    def seeders(self) -> tuple[int, ...]:
        """Every number of seeders, ascending."""
        return self._axis(1)

    @property
    def file_sizes(self) -> tuple[int, ...]:
        """Every file size, ascending."""
        return self._axis(2)

    @property
    def networks(self) -> tuple[str, ...]:
        """Every network, in words."""
        found = [each.network for each in self.cells] + [axes[3] for axes in self.axes]
        return tuple(dict.fromkeys(found))

    def axes_of(self, file_size: int, network: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the swarm sizes and numbers of seeders for a file size and network, ascending."""
        found = [axes_of(each) for each in self.cells]
        kept = [axes for axes in (*found, *self.axes) if axes[2:] == (file_size, network)]
        return tuple(sorted({a[0] for a in kept})), tuple(sorted({a[1] for a in kept}))

    def _axis(self, at: int) -> tuple[int, ...]:
        found = {(e.swarm_size, e.seeders, e.file_size)[at] for e in self.cells}
        return tuple(sorted(found | {axes[:3][at] for axes in self.axes}))


def choose(
    found: Iterable[Facts], planned: Sequence[tuple[int, int, int, str, str]] = ()
) -> Chosen:
    """Choose the folder that counts for each cell: the first attempt that ran to its end, or the
    one with the most runs if none did. The others are never merged with it.

    Args:
        found: the facts of all folders.
        planned: (swarm size, seeders, file size, network, name) of every planned cell.
    """
    by_key: dict[str, list[Facts]] = {}
    for each in found:
        by_key.setdefault(each.key, []).append(each)
    cells, attempts = [], {}
    for key, tries in by_key.items():
        best, others = counted(tries)
        cells.append(best)
        attempts[key] = tuple(others)
    cells.sort(key=lambda e: (e.network, e.file_size, e.swarm_size, e.seeders, e.folder))
    names = unique_names((each.key, each.cell) for each in cells)
    present = {axes_of(each) for each in cells}
    absent = [each for each in dict.fromkeys(planned) if each[:4] not in present]
    return Chosen(
        tuple(cells),
        names,
        attempts,
        tuple(each[4] for each in absent),
        tuple(each[:4] for each in absent),
    )


def axes_of(facts: Facts) -> tuple[int, int, int, str]:
    """Return a cell's swarm size, seeders, file size and network."""
    return facts.swarm_size, facts.seeders, facts.file_size, facts.network


def outcome(facts: Facts) -> str:
    """Return the outcome of an attempt in words."""
    status = facts.verdict.status
    text = f"{facts.raced} of {len(facts.verdict.runs)} runs raced, {status}"
    return f"{text}: {facts.verdict.stopped_by}" if facts.verdict.stopped_by else text


def plan_of(folders: Sequence[Path]) -> list[tuple[int, int, int, str, str]]:
    """Return the cells planned by the sweeps among `folders` and below them.

    Without a sweep no cells are planned; the report then has only the cells with results.
    """
    found = []
    for folder in find_sweeps(folders):
        try:
            data = json.loads((folder / SWEEP_FILE).read_bytes())
        except (OSError, ValueError):
            continue  # being written, or broken: the results are reported all the same
        found += list(_cells(data))
    return found


def _cells(data: object) -> Iterable[tuple[int, int, int, str, str]]:
    from swarmrace.errors import ScenarioError
    from swarmrace.export.cells import cell_name, network_label
    from swarmrace.plan.plan import expand
    from swarmrace.scenario.loading import parse

    scenario = data.get("scenario") if isinstance(data, dict) else None
    if not isinstance(scenario, dict):
        return
    try:
        loaded = parse(scenario, "sweep.json", stored=True)
    except ScenarioError:
        return
    for cell in expand(loaded):
        race = cell.scenario.race
        yield (
            race.swarm_size,
            race.seeders,
            race.file_size,
            network_label(race.network),
            cell_name(cell.scenario),
        )
