"""Whether a race may stop early: every acceptance is decided at this look's confidence.

The rendezvous calls this after each block (`ServerConfig.stop_rule`).
"""

from __future__ import annotations

from pathlib import Path

from swarmrace.results.folder import Results, load
from swarmrace.results.parts import first_blocks
from swarmrace.statistics.looks import LOOKS
from swarmrace.verdict.runs import complete_blocks, view


def decided(folder: Path, blocks: int) -> bool:
    """Return whether a race may stop after its first `blocks` blocks.

    It may if the number of complete blocks is that of a look, the last block is complete, and every
    acceptance is met or missed.

    Args:
        folder: the folder of the running race.
        blocks: number of blocks that have ended.

    Raises:
        ResultsError: the folder can't be read.
    """
    from swarmrace.verdict.compute import compute

    found = first_blocks(load(folder), blocks)
    complete = _complete(found)
    if len(complete) not in LOOKS or blocks - 1 not in complete:
        return False
    verdicts = {item.verdict for item in compute(found).acceptance}
    return bool(verdicts) and "undecided" not in verdicts


def _complete(results: Results) -> set[int]:
    return complete_blocks(view(record, results.scenario.race) for record in results.runs)
