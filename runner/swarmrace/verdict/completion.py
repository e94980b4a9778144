"""How often an entrant came through: by transfers as counts, by runs with exact limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from swarmrace.statistics.proportions import SIGNIFICANCE, fisher_p, more_p, upper_bound
from swarmrace.verdict.runs import RunView, complete, complete_runs
from swarmrace.verdict.sides import Side


class Losses(NamedTuple):
    """What failed in an entrant's runs; missing runs are in none of it."""

    failed: int
    """Transfers."""
    started: int
    not_raced: int
    """Runs that the entrant itself kept from being raced."""


def losses(views: Sequence[RunView]) -> Losses:
    """Count an entrant's failures."""
    times = [time for view in views for time in view.times]
    not_raced = sum(view.status == "failed" and not view.times for view in views)
    return Losses(sum(map(math.isinf, times)), len(times), not_raced)


def judge(
    entrant: Side, of: Side, wanted: float, *, paired: bool, confidence: float = 0.95
) -> tuple[str, str]:
    """Return what an acceptance's completion says, and why.

    Missed: the exact one-sided upper bound of `confidence` is below what is wanted. Undecided: the
    share is below it without that, or the other side was complete in significantly more blocks.
    Met otherwise, also where there is no run to judge by: then the times decide nothing either.
    """
    hits, count = complete_runs(entrant.views)
    if not count:
        return "met", ""
    text = f"complete in {hits} of {count} runs"
    bound = upper_bound(hits, count, confidence)
    if bound < wanted:
        level = f"{100 * confidence:.3g} %"
        return "missed", f"{text}, at most {bound:.3g} ({level}) where {wanted:g} is asked for"
    if hits / count < wanted:
        return "undecided", f"{text}, below the {wanted:g} asked for, though too few to exclude it"
    p = _more_often(of, entrant, paired=paired)
    if p <= SIGNIFICANCE:
        hits, count = complete_runs(of.views)
        return (
            "undecided",
            f"{text}, {of.name} in {hits} of {count}: significantly more (p = {p:.2g})",
        )
    return "met", "" if hits == count else text


def _more_often(one: Side, other: Side, *, paired: bool) -> float:
    """Return the one-sided p of `one` being complete more often: over blocks by the exact sign
    test (McNemar's), unpaired by Fisher's."""
    if not paired:
        return fisher_p(*complete_runs(one.views), *complete_runs(other.views))
    by_block = [
        {
            view.record.run.repetition: found
            for view in side.views
            if (found := complete(view)) is not None
        }
        for side in (one, other)
    ]
    common = by_block[0].keys() & by_block[1].keys()
    more = sum(by_block[0][block] > by_block[1][block] for block in common)
    less = sum(by_block[0][block] < by_block[1][block] for block in common)
    return more_p(more, less)
