"""The race of a part of a cell: its scenario, its planned duration, and the trials before it."""

from __future__ import annotations

from swarmrace.plan.trials import program_ids
from swarmrace.recording.records import Trial
from swarmrace.scenario.scenario import Continues, Scenario
from swarmrace.sweep.state import CellState, Part, SweepState


def part_scenario(scenario: Scenario, state: CellState, part: Part, number: int) -> Scenario:
    """Return the scenario of an attempt.

    Args:
        scenario: the cell's scenario, without a matrix.
        state: the cell's state. Parts before this one must be done.
        part: the blocks to race.
        number: number of the attempt, from 1.
    """
    earlier = None
    if part.blocks.start:
        counted = state.parts[0].counted
        assert counted is not None, "earlier blocks are raced first"
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


def planned_seconds(part: Part) -> float:
    """Return the planned duration of a part."""
    first = part.cell.parts()[0]
    return part.cell.expected_seconds * len(part.blocks) / len(first)


def trials_of(found: SweepState) -> dict[str, Trial]:
    """Return the successful trials in this sweep, by `program_id`; those programs need no other."""
    return {
        trial.program: trial
        for cell in found.cells
        for part in cell.parts
        for attempt in part.attempts
        for trial in (attempt.info.trials.values() if attempt.info else ())
        if trial.outcome == "started"
    }


def has_started_all(found: SweepState, scenario: Scenario) -> bool:
    """Return whether every program of a scenario has started in a trial of this sweep, so that none
    needs another one."""
    return trials_of(found).keys() >= set(program_ids(scenario).values())
