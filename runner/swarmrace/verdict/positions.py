"""The position of each run in its block, and the effect of positions.

The schedule balances positions, so their effect cancels in a ratio. But it widens the interval, and
shows that a run affects the next one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from swarmrace.statistics.proportions import SIGNIFICANCE
from swarmrace.statistics.ranks import rank_sum_p
from swarmrace.verdict.runs import RunView
from swarmrace.verdict.sides import Side

MIN_RUNS_PER_POSITION = 4
"""Minimum number of blocks in either order for the test: the most extreme outcome of 4 + 4 blocks
has probability 0.029."""


def places(views: Sequence[RunView]) -> dict[str, int]:
    """Return each run's position in its block, from 1, by run id."""
    seen: dict[int, int] = {}
    result = {}
    for view in sorted(views, key=lambda view: view.record.run.index):
        run = view.record.run
        result[run.id] = seen[run.repetition] = seen.get(run.repetition, 0) + 1
    return result


def position_effects(sides: Sequence[Side]) -> Iterator[str]:
    """Yield a line for each pair of entrants whose ratio depends on which of them ran first.

    The exact Mann–Whitney test compares the blocks' log ratios in one order with those in the
    other, at 5 % divided by the number of pairs.
    """
    pairs = list(combinations(sides, 2))
    for a, b in pairs:
        orders = [np.array(found) for found in _by_order(a, b)]
        if min(map(len, orders)) < MIN_RUNS_PER_POSITION:
            continue
        p = rank_sum_p(*orders)
        if p <= SIGNIFICANCE / len(pairs):
            shift = float(np.median(orders[0][:, None] - orders[1][None, :]))
            yield (
                f"position effect: of {a.name} and {b.name}, the first in a block took "
                f"{math.exp(shift / 2):.3g} × the time that it would have taken after the other "
                f"(p = {p:.2g}, {len(orders[0])} + {len(orders[1])} blocks); positions are "
                "balanced, so the ratio is valid, but a run affects the next one"
            )


def _by_order(a: Side, b: Side) -> tuple[list[float], list[float]]:
    """Return the log ratios of the blocks in which `a` ran first, and of those in which `b` did."""
    numbers = [_numbers(side) for side in (a, b)]
    first: list[float] = []
    second: list[float] = []
    for block in sorted(numbers[0].keys() & numbers[1].keys()):
        (index_a, time_a), (index_b, time_b) = (found[block] for found in numbers)
        (first if index_a < index_b else second).append(math.log(time_a / time_b))
    return first, second


def _numbers(side: Side) -> Mapping[int, tuple[int, float]]:
    """Return the index and number of each run with a finite number, by block."""
    return {
        view.record.run.repetition: (view.record.run.index, view.number)
        for view in side.views
        if view.number is not None and 0 < view.number < math.inf
    }
