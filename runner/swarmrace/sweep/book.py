"""`sweep.json`: what a sweep races, in which order and with which versions. Written at its start.

It holds no progress, which is read from the results (`swarmrace.sweep.state`).
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from swarmrace import atomic
from swarmrace.errors import InfrastructureError, ResultsError, SweepError
from swarmrace.faults import faults_of
from swarmrace.host import infrastructure
from swarmrace.model import Model
from swarmrace.plan.plan import Cell, expand
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep.order import Order, sequence
from swarmrace.sweep.pins import Pins

FILE = "sweep.json"
FORMAT = 1
"""Version of `sweep.json` and of the folder's layout (docs/sweeps.md)."""
_MAX_DIFFERENCES = 5
"""At most this many differences are named in an error."""


class PlannedCell(Model):
    """One cell of a sweep."""

    id: str
    """`Scenario.cell_id`: hash of what it races, without `attempt` and the number of blocks."""
    name: str
    """Such as `8x2-100MB`; unique in the sweep."""
    swarm_size: int
    seeders: int
    file_size_bytes: int
    network: dict[str, Any] | None = None
    """As in the scenario, defaults filled in; None if networks are not an axis."""
    blocks: list[int]
    """Total number of blocks after each part: `[3]`, or `[3, 6]` once three were added."""
    expected_seconds: float
    """Duration of its first part, estimated at the start for the machine that began the sweep."""

    def parts(self) -> list[range]:
        """Return the blocks of each part."""
        return [range(a, b) for a, b in zip([0, *self.blocks], self.blocks, strict=False)]

    @property
    def folder_name(self) -> str:
        """Name of its folder below `cells/`."""
        return f"{self.name}-{self.id}"


class Sweep(Model):
    """The content of `sweep.json`."""

    format: int = FORMAT
    name: str
    """Name of the scenario file, without its extension."""
    created_utc: str
    order: Order
    seed: int
    """Seed of the shuffled order."""
    scenario: dict[str, Any]
    """What is raced (`global.race` with its matrix, `global.entrants`), defaults filled in."""
    cells: list[PlannedCell]
    """In the order of the matrix's axes."""
    sequence: list[str]
    """Cell ids in the order in which they are raced."""
    pins: Pins

    def cell(self, name_or_id: str) -> PlannedCell:
        """Return a cell by its id or its name.

        Raises:
            SweepError: there is no such cell.
        """
        for cell in self.cells:
            if name_or_id in (cell.id, cell.name):
                return cell
        raise SweepError(
            f"cell {name_or_id!r}: expected one of this sweep's {len(self.cells)} cells by id or "
            f"name, such as {self.cells[0].id} ({self.cells[0].name})"
        )

    def ordered(self) -> list[PlannedCell]:
        """Return the cells in the order in which they are raced."""
        found = {cell.id: cell for cell in self.cells}
        return [found[each] for each in self.sequence]

    def expanded(self) -> dict[str, Cell]:
        """Return the cells by id, with their scenarios, which have no cluster keys.

        Raises:
            ScenarioError: this installation can't read the scenario.
        """
        cells = expand(parse(self.scenario, FILE, stored=True))
        return {cell.scenario.cell_id(): cell for cell in cells}


def raced_scenario(scenario: Scenario) -> dict[str, Any]:
    """Return the canonical form of a sweep's scenario, with the matrix."""
    data = scenario.canonical()
    matrix = scenario.race.matrix
    data["race"]["matrix"] = matrix.model_dump(mode="json") if matrix else None
    return {"global": data}


def plan_sweep(
    scenario: Scenario,
    name: str,
    *,
    order: Order,
    seed: int | None,
    pins: Pins,
    expected: Sequence[float],
    created_utc: str,
) -> Sweep:
    """Return the plan of a new sweep.

    Args:
        scenario: with or without a matrix.
        name: name of the sweep.
        order: order in which cells are raced.
        seed: seed of the order; None for the scenario's own.
        pins: the versions that the sweep begins with.
        expected: expected seconds of each cell, in the order of the axes.
        created_utc: the current time.

    Raises:
        SweepError: the matrix names a cell twice.
    """
    networks = scenario.race.matrix is not None and bool(scenario.race.matrix.network)
    cells = [
        PlannedCell(
            id=cell.scenario.cell_id(),
            name=cell.name,
            swarm_size=cell.scenario.race.swarm_size,
            seeders=cell.scenario.race.seeders,
            file_size_bytes=cell.scenario.race.file_size,
            network=cell.scenario.race.network.model_dump(mode="json") if networks else None,
            blocks=[cell.scenario.race.repetitions],
            expected_seconds=round(seconds, 1),
        )
        for cell, seconds in zip(_unique(expand(scenario)), expected, strict=True)
    ]
    seed = scenario.race.seed if seed is None else seed
    costs = {cell.id: cell.expected_seconds for cell in cells}
    return Sweep(
        name=name,
        created_utc=created_utc,
        order=order,
        seed=seed,
        scenario=raced_scenario(scenario),
        cells=cells,
        sequence=sequence(costs, order, seed),
        pins=pins,
    )


def _unique(cells: Sequence[Cell]) -> Sequence[Cell]:
    """Return the cells; refuse a matrix that names one twice, whose results would be mixed up."""
    seen: dict[str, str] = {}
    for cell in cells:
        cell_id = cell.scenario.cell_id()
        if cell_id in seen:
            raise SweepError(
                f"global.race.matrix: found {cell.name} and {seen[cell_id]}, which race the same, "
                "expected every cell once; remove the duplicate value"
            )
        seen[cell_id] = cell.name
    return cells


def exists(folder: Path) -> bool:
    """Return whether `folder` holds a sweep."""
    return (folder / FILE).exists()


def read(folder: Path) -> Sweep:
    """Read a folder's `sweep.json`.

    Raises:
        ResultsError: it is missing, can't be read, or has another format.
    """
    path = folder / FILE
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ResultsError(
            f"{folder}: expected a sweep's folder, found no {FILE} in it; give the folder that "
            "`swarmrace sweep` printed"
        ) from error
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: can't be read: {' '.join(str(error).split())}") from error
    number = data.get("format") if isinstance(data, dict) else None
    if number != FORMAT:
        raise ResultsError(
            f"{path}: found sweep format {number!r}, expected {FORMAT}; read it with the "
            "swarmrace that wrote it"
        )
    try:
        return Sweep.model_validate(data)
    except ValidationError as error:
        raise ResultsError(f"{path}: {faults_of(error, Sweep)[0]}") from error


def write(folder: Path, sweep: Sweep) -> None:
    """Write `sweep.json` atomically.

    Raises:
        InfrastructureError: it can't be written; the old one is unchanged.
    """
    try:
        atomic.write_bytes(folder / FILE, (sweep.model_dump_json(indent=1) + "\n").encode())
    except OSError as error:
        why = infrastructure.describe(error.errno or errno.EIO)
        raise InfrastructureError(f"{folder / FILE}: can't be written: {why}") from error


def refuse_other_scenario(folder: Path, sweep: Sweep, scenario: Scenario) -> None:
    """Refuse a scenario other than the one that the sweep races.

    Raises:
        SweepError: the scenario differs; the message names what.
    """
    began, found = sweep.scenario, raced_scenario(scenario)
    lines = list(_differences("global", began["global"], found["global"]))
    repetitions = {count for cell in sweep.cells for count in cell.blocks}
    if scenario.race.repetitions not in repetitions:
        lines.append(
            f"global.race.repetitions: began with {min(repetitions)}, found "
            f"{scenario.race.repetitions} (use --repetitions to add blocks)"
        )
    if lines:
        unnamed = len(lines) - _MAX_DIFFERENCES
        more = f" and {unnamed} more" if unnamed > 0 else ""
        raise SweepError(
            f"{folder}: expected the scenario that this sweep began with, found another one: "
            f"{'; '.join(lines[:_MAX_DIFFERENCES])}{more}; give another --folder, or the original "
            "scenario"
        )


def _differences(key: str, began: Any, found: Any) -> Iterator[str]:
    if key == "global.race.repetitions" or began == found:
        return
    if isinstance(began, dict) and isinstance(found, dict):
        for name in {**began, **found}:
            yield from _differences(f"{key}.{name}", began.get(name), found.get(name))
    else:
        yield f"{key}: began with {_short(began)}, found {_short(found)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def with_repetitions(
    sweep: Sweep, repetitions: int, cells: Sequence[str] | None = None
) -> tuple[Sweep, int]:
    """Return the sweep with more blocks for its cells, and how many cells got some.

    Args:
        sweep: the sweep so far.
        repetitions: total number of blocks that a cell shall have.
        cells: ids of the cells that get more blocks; None for all.

    Raises:
        SweepError: a cell already has more blocks, or the race can't be extended by blocks.
    """
    if sweep.scenario["global"]["race"]["order"] == "sequential":
        raise SweepError(
            "--repetitions: needs global.race.order: interleaved, because a sequential race has no "
            "blocks to add to"
        )
    if sweep.scenario["global"]["race"].get("stopping"):
        raise SweepError(
            "--repetitions: found together with global.race.stopping, expected only one of them: a "
            "race that stops when it is decided has no blocks to add to"
        )
    changed, grown = [], 0
    for cell in sweep.cells:
        if cells is not None and cell.id not in cells:
            changed.append(cell)
            continue
        if repetitions < cell.blocks[-1]:
            raise SweepError(
                f"--repetitions: found {repetitions}, expected at least {cell.blocks[-1]}, the "
                f"blocks that cell {cell.name} already has: blocks are added, never removed"
            )
        if repetitions > cell.blocks[-1]:
            cell, grown = cell.model_copy(update={"blocks": [*cell.blocks, repetitions]}), grown + 1
        changed.append(cell)
    return sweep.model_copy(update={"cells": changed}), grown
