"""`swarmrace plan --write`: writes each cell of a matrix as a scenario file.

A release on a cluster is one scenario, so a matrix is raced there cell by cell.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from swarmrace.backends.kubernetes import pods, yaml_text
from swarmrace.host.output import printable, shortened
from swarmrace.plan import checks
from swarmrace.plan.plan import Cell, expand
from swarmrace.scenario import yaml_file
from swarmrace.scenario.cluster import MIB
from swarmrace.scenario.scenario import Scenario
from swarmrace.units import canonical_size


def write(path: Path, folder: Path) -> list[Path]:
    """Write every cell of a scenario file to a folder, which is created; return the new files.

    Each file is a copy of `path` with the cell's values in place of the axes, and can be used with
    `swarmrace run` and `helm install`. Existing files are replaced.

    Raises:
        ScenarioError: the file can't be read or is invalid; nothing is written then.
    """
    scenario = checks.load(path)
    data = yaml_file.read(path).data
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for cell in expand(scenario):
        stem = shortened(printable(path.stem), 250 - len(f"-{cell.name}.yaml"))
        file = folder / f"{stem}-{cell.name}.yaml"
        head = f"# Cell {cell.name} of {printable(path.name)}, by `swarmrace plan --write`.\n"
        file.write_text(head + yaml_text.document(_data(data, scenario, cell)), encoding="utf-8")
        written.append(file)
    return written


def cell_data(data: Any, scenario: Scenario, cell: Cell) -> dict[str, Any]:
    """Return the values of a cell, including its attempt and blocks.

    Args:
        data: the data of the scenario file.
        scenario: the scenario read from it.
        cell: a cell of it, maybe with another attempt or further blocks.
    """
    values: dict[str, Any] = _data(data, scenario, cell)
    raced, race = cell.scenario.race, values["global"]["race"]
    race |= {"attempt": raced.attempt, "repetitions": raced.repetitions}
    if raced.continues is not None:
        race["continues"] = raced.continues.model_dump(mode="json")
    return values


def _data(data: Any, scenario: Scenario, cell: Cell) -> Any:
    """Return a cell's data: that of the scenario file, with the cell's values for the axes."""
    data, raced = copy.deepcopy(data), cell.scenario.race
    race = data["global"]["race"] = data["global"].get("race") or {}
    given = race.pop("matrix", None) or {}
    if given.get("swarmSize"):
        race["swarmSize"] = raced.swarm_size
    if given.get("seeders"):
        race["seeders"] = raced.seeders
    if given.get("fileSize"):
        race["fileSize"] = canonical_size(raced.file_size)
    if given.get("network"):
        assert scenario.race.matrix is not None
        race["network"] = given["network"][scenario.race.matrix.network.index(raced.network)]
    needed = pods.results_bytes(cell.scenario)
    if needed > scenario.tracker.storage.size:
        tracker = data["tracker"] = data.get("tracker") or {}
        tracker["storage"] = (tracker.get("storage") or {}) | {
            "size": canonical_size(-(-needed // (1024 * MIB)) * 1024 * MIB)
        }
    return data
