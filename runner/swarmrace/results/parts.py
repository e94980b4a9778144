"""Merges the results of several races, and cuts those of one race to its first blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from swarmrace.errors import ResultsError
from swarmrace.results.folder import Results


def first_blocks(results: Results, blocks: int) -> Results:
    """Return the results of the first `blocks` blocks, as if the race had stopped after them."""
    runs = tuple(record for record in results.runs if record.run.repetition < blocks)
    info = results.info.model_copy(update={"decided_blocks": blocks})
    return replace(results, info=info, runs=runs)


def merge(parts: Sequence[Results]) -> Results:
    """Merge races, each of which continues the one before (`race.continues`).

    Folder and race.json are those of the first race; runs and faults are those of all.

    Raises:
        ResultsError: a race doesn't continue the one before.
    """
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return first
    for before, after in pairwise(parts):
        old, new = before.scenario, after.scenario
        if old.cell_id() != new.cell_id() or old.race.blocks.stop != new.race.blocks.start:
            raise ResultsError(
                f"{after.folder}: found cell {new.cell_id()} from block {new.race.blocks.start}, "
                f"expected further blocks of {before.folder} (cell {old.cell_id()} from block "
                f"{old.race.blocks.stop})"
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
