"""`swarmrace plan MATRIX --missing FOLDER`: the cells that a sweep still has to race.

An Argo workflow runs one step for each. Ids and axes only: a step's output holds 256 kB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swarmrace.plan.plan import Cell, expand
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, state
from swarmrace.units import canonical_size


def missing(scenario: Scenario, folder: Path) -> list[Cell]:
    """Return a scenario's cells that are not done in a sweep's folder, in the order to race them.

    Where there is no sweep in the folder yet, or no folder, that is every cell.

    Raises:
        SweepError: the folder is another scenario's.
        ResultsError: its plan can't be read.
    """
    cells = {cell.scenario.cell_id(): cell for cell in expand(scenario)}
    if not book.exists(folder):
        return list(cells.values())
    found = state.look(folder)
    book.refuse_another(folder, found.sweep, scenario)
    ids = dict.fromkeys(part.cell.id for part in found.missing)
    return [cells[each] for each in ids]


def axes(cell: Cell, *, with_network: bool) -> dict[str, Any]:
    """Return a cell's id and its place on the axes, as a scenario writes them.

    Args:
        cell: of a matrix.
        with_network: whether networks are an axis.
    """
    race = cell.scenario.race
    found: dict[str, Any] = {
        "id": cell.scenario.cell_id(),
        "swarmSize": race.swarm_size,
        "seeders": race.seeders,
        "fileSize": canonical_size(race.file_size),
    }
    if with_network:
        found["network"] = race.network.model_dump(mode="json", exclude_defaults=True)
    return found


def listed(scenario: Scenario, folder: Path) -> list[dict[str, Any]]:
    """Return `missing` for programs: ids and axes."""
    matrix = scenario.race.matrix
    networks = matrix is not None and bool(matrix.network)
    return [axes(cell, with_network=networks) for cell in missing(scenario, folder)]
