"""Which folder counts for each cell, and which cells there should be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmrace.report.facts import Facts

ENDED = "finished"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The cells of a report, in order, and what they are called."""

    cells: tuple[Facts, ...]
    names: Mapping[str, str]
    """By key: the cell's name, made different where two cells would have the same."""
    attempts: Mapping[str, tuple[Facts, ...]]
    """By key: further attempts, which are listed and in no figure."""
    planned: tuple[str, ...]
    """Names of cells that should be there and aren't."""
    axes: tuple[tuple[int, int, int, str], ...] = ()
    """(swarm size, seeders, file size, network) of planned cells."""

    def name_of(self, facts: Facts) -> str:
        """Return a cell's name."""
        return self.names[facts.key]

    def at(self, swarm_size: int, seeders: int, file_size: int, network: str) -> Facts | None:
        """Return the cell at these axes."""
        wanted = (swarm_size, seeders, file_size, network)
        for each in self.cells:
            if (each.swarm_size, each.seeders, each.file_size, each.network) == wanted:
                return each
        return None

    @property
    def swarm_sizes(self) -> tuple[int, ...]:
        """Every swarm size, rising."""
        return self._axis(0)

    @property
    def seeders(self) -> tuple[int, ...]:
        """Every number of seeders, rising."""
        return self._axis(1)

    @property
    def file_sizes(self) -> tuple[int, ...]:
        """Every file size, rising."""
        return self._axis(2)

    @property
    def networks(self) -> tuple[str, ...]:
        """Every network, in words."""
        found = [each.network for each in self.cells] + [axes[3] for axes in self.axes]
        return tuple(dict.fromkeys(found))

    def axes_of(self, file_size: int, network: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the swarm sizes and numbers of seeders of one file size and network, rising."""
        found = [(e.swarm_size, e.seeders, e.file_size, e.network) for e in self.cells]
        kept = [axes for axes in (*found, *self.axes) if axes[2:] == (file_size, network)]
        return tuple(sorted({a[0] for a in kept})), tuple(sorted({a[1] for a in kept}))

    def _axis(self, at: int) -> tuple[int, ...]:
        found = {(e.swarm_size, e.seeders, e.file_size)[at] for e in self.cells}
        return tuple(sorted(found | {axes[:3][at] for axes in self.axes}))


def choose(
    found: Iterable[Facts], planned: Sequence[tuple[int, int, int, str, str]] = ()
) -> Chosen:
    """Return the folder that counts for each cell: the first attempt that ran to its end, or else,
    while there is none, the one with the most runs. The others are never merged with it.

    Args:
        found: what was read.
        planned: (swarm size, seeders, file size, network, name) of every cell of the plan.
    """
    by_key: dict[str, list[Facts]] = {}
    for each in found:
        by_key.setdefault(each.key, []).append(each)
    cells, attempts = [], {}
    for key, tries in by_key.items():
        tries.sort(key=lambda each: (each.attempt, each.verdict.created_utc))
        ended = [each for each in tries if each.verdict.status == ENDED]
        best = ended[0] if ended else max(tries, key=lambda each: each.raced)
        cells.append(best)
        attempts[key] = tuple(each for each in tries if each is not best)
    cells.sort(key=lambda e: (e.network, e.file_size, e.swarm_size, e.seeders, e.folder))
    names: dict[str, str] = {}
    for each in cells:
        taken = each.cell in names.values()
        names[each.key] = f"{each.cell}-{each.key[:4]}" if taken else each.cell
    there = {(e.swarm_size, e.seeders, e.file_size, e.network) for e in cells}
    absent = [each for each in planned if each[:4] not in there]
    return Chosen(
        tuple(cells),
        names,
        attempts,
        tuple(each[4] for each in absent),
        tuple(each[:4] for each in absent),
    )


def outcome(facts: Facts) -> str:
    """Return in words what became of an attempt."""
    status = facts.verdict.status
    text = f"{facts.raced} of {len(facts.verdict.runs)} runs raced, {status}"
    return f"{text}: {facts.verdict.stopped_by}" if facts.verdict.stopped_by else text


def plan_of(folders: Sequence[Path]) -> list[tuple[int, int, int, str, str]]:
    """Return every cell that the sweeps among `folders` plan, by their `sweep.json`.

    A folder without one plans nothing: then the cells are those that are there.
    """
    found = []
    for folder in folders:
        path = folder / "sweep.json"
        if not path.is_file():
            continue
        try:
            data = json.loads(path.read_bytes())
        except ValueError:
            continue  # which is being written, or torn: what there is is reported all the same
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
