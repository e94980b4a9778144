"""The race of a part of a cell: which scenario, under which attempt."""

from __future__ import annotations

from swarmrace.plan.plan import Cell
from swarmrace.scenario.scenario import Continues, Scenario
from swarmrace.sweep.state import CellState, Part


def part_scenario(scenario: Scenario, state: CellState, part: Part, number: int) -> Scenario:
    """Return what is raced in an attempt.

    Args:
        scenario: the cell's, without a matrix.
        state: the cell's; when blocks are added, those before must be done.
        part: which blocks.
        number: the attempt's, from 1.
    """
    earlier = None
    if part.blocks.start:
        counted = state.parts[0].counted
        assert counted is not None, "the blocks before are raced first"
        drawn = scenario.race.attempt + counted.number - 1
        earlier = Continues(blocks=part.blocks.start, attempt=drawn)
    race = scenario.race.model_copy(
        update={
            "attempt": scenario.race.attempt + number - 1,
            "repetitions": part.blocks.stop,
            "continues": earlier,
        }
    )
    shared = scenario.global_.model_copy(update={"race": race})
    return scenario.model_copy(update={"global_": shared})


def part_cell(cell: Cell, state: CellState, part: Part, number: int) -> Cell:
    """Return the same as a cell of the plan."""
    return Cell(cell.name, part_scenario(cell.scenario, state, part, number))


def planned_seconds(part: Part) -> float:
    """Return what the plan says that a part takes."""
    first = part.cell.parts()[0]
    return part.cell.expected_seconds * len(part.blocks) / len(first)
