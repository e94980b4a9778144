"""`swarmrace plan MATRIX --missing FOLDER`: the cells that a sweep still has to race.

An Argo workflow runs one step for each cell. A step's output is limited to 256 kB, so only ids and
axes are listed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swarmrace.plan.needs import expected_seconds_on_cluster
from swarmrace.plan.plan import Cell, expand
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, state
from swarmrace.sweep.order import Order, sequence
from swarmrace.units import canonical_size


def missing_cells(scenario: Scenario, folder: Path, order: Order = "shuffled") -> list[Cell]:
    """Return the cells that are not done in a sweep's folder, in the order to race them.

    Args:
        scenario: with or without a matrix.
        folder: if it doesn't exist or holds no sweep yet, all cells are missing.
        order: order of a sweep that hasn't begun; one that has keeps its own.

    Raises:
        SweepError: the folder belongs to another scenario.
        ResultsError: the sweep's plan can't be read.
    """
    cells = {cell.scenario.cell_id(): cell for cell in expand(scenario)}
    if not book.exists(folder):
        costs = {name: expected_seconds_on_cluster(cell.scenario) for name, cell in cells.items()}
        return [cells[cell_id] for cell_id in sequence(costs, order, scenario.race.seed)]
    found = state.read(folder)
    book.refuse_other_scenario(folder, found.sweep, scenario)
    return [cells[part.cell.id] for part in found.next_parts]


def axes(cell: Cell, *, with_network: bool) -> dict[str, Any]:
    """Return a cell's id and its values on the axes, as written in a scenario.

    Args:
        cell: a cell of a matrix.
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


def missing_axes(
    scenario: Scenario, folder: Path, order: Order = "shuffled"
) -> list[dict[str, Any]]:
    """Return the missing cells for programs: ids and axes. Raises as `missing_cells`."""
    matrix = scenario.race.matrix
    networks = matrix is not None and bool(matrix.network)
    return [axes(cell, with_network=networks) for cell in missing_cells(scenario, folder, order)]
