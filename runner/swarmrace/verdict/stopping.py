"""Whether a race may stop: every acceptance is decided, by the interval of this look's level.

The rendezvous asks after each block (`ServerConfig.stop_rule`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from swarmrace.results.folder import Results, load
from swarmrace.results.parts import curtailed
from swarmrace.statistics.looks import LOOKS
from swarmrace.verdict.runs import RunView, view


def complete_blocks(views: Iterable[RunView]) -> set[int]:
    """Return the blocks in which no entrant's run is missing."""
    blocks: dict[int, list[RunView]] = {}
    for each in views:
        blocks.setdefault(each.record.run.repetition, []).append(each)
    return {
        block for block, runs in blocks.items() if all(each.status != "missing" for each in runs)
    }


def decided(folder: Path, blocks: int) -> bool:
    """Return whether a race may stop after its first `blocks` blocks.

    It may where so many of them are complete that it is time for a look, the last one among them,
    and every acceptance is met or missed.

    Args:
        folder: of the race, which goes on.
        blocks: how many have ended.

    Raises:
        ResultsError: the folder can't be read.
    """
    from swarmrace.verdict.compute import compute

    found = curtailed(load(folder), blocks)
    complete = _complete(found)
    if len(complete) not in LOOKS or blocks - 1 not in complete:
        return False
    verdicts = {item.verdict for item in compute(found).acceptance}
    return bool(verdicts) and "undecided" not in verdicts


def _complete(results: Results) -> set[int]:
    return complete_blocks(view(record, results.scenario.race) for record in results.runs)
