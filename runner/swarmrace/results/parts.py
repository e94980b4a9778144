"""Results of several races as one, and of a part of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from swarmrace.errors import ResultsError
from swarmrace.results.folder import Results


def curtailed(results: Results, blocks: int) -> Results:
    """Return the results of the first blocks only, as if the race had been stopped then."""
    runs = tuple(record for record in results.runs if record.run.repetition < blocks)
    info = results.info.model_copy(update={"decided_blocks": blocks})
    return replace(results, info=info, runs=runs)


def merged(parts: Sequence[Results]) -> Results:
    """Return races of which each continues the one before (`race.continues`) as one.

    The head is the first one's; runs and faults are those of all.

    Raises:
        ResultsError: one doesn't continue the one before.
    """
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return first
    for before, after in pairwise(parts):
        old, new = before.scenario, after.scenario
        if old.cell_id() != new.cell_id() or old.race.blocks.stop != new.race.blocks.start:
            raise ResultsError(
                f"{after.folder}: expected further blocks of {before.folder} (cell "
                f"{old.cell_id()}, from block {old.race.blocks.stop}), found cell "
                f"{new.cell_id()} from block {new.race.blocks.start}"
            )
    race = first.scenario.race.model_copy(
        update={"repetitions": last.scenario.race.repetitions, "continues": None}
    )
    shared = first.scenario.global_.model_copy(update={"race": race})
    return Results(
        first.folder,
        first.info,
        first.scenario.model_copy(update={"global_": shared}),
        tuple(record for part in parts for record in part.runs),
        tuple(f"{part.folder.name}/{fault}" for part in parts for fault in part.faults),
        tuple(parts),
    )
