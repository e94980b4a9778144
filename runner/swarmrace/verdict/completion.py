"""How often an entrant completed: transfers as counts, runs as a share with exact limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from swarmrace.statistics.proportions import SIGNIFICANCE, fisher_p, more_p, upper_bound
from swarmrace.verdict.runs import RunView, complete, complete_runs
from swarmrace.verdict.sides import Side


class Losses(NamedTuple):
    """Failures in an entrant's runs, without missing runs."""

    failed: int
    """Failed transfers."""
    started: int
    """Started transfers."""
    not_raced: int
    """Runs that could not be raced because of the entrant's own failure."""


def losses(views: Sequence[RunView]) -> Losses:
    """Count an entrant's failures."""
    times = [time for view in views for time in view.times]
    not_raced = sum(view.status == "failed" and not view.times for view in views)
    return Losses(sum(map(math.isinf, times)), len(times), not_raced)


def judge(
    entrant: Side, reference: Side, required: float, *, paired: bool, confidence: float = 0.95
) -> tuple[str, str]:
    """Judge the share of an entrant's complete runs; return the judgement and the reason.

    Missed: the share's exact one-sided upper bound is below `required`. Undecided: only the share
    itself is below it, or the reference was complete in significantly more blocks. Otherwise met,
    even without any run, because then the times are undecided.
    """
    hits, count = complete_runs(entrant.views)
    if not count:
        return "met", ""
    text = f"complete in {hits} of {count} runs"
    bound = upper_bound(hits, count, confidence)
    if bound < required:
        level = f"{100 * confidence:.3g} %"
        return (
            "missed",
            f"{text}: a share of at most {bound:.3g} ({level}), but {required:g} is required",
        )
    if hits / count < required:
        return (
            "undecided",
            f"{text}, below the required {required:g}, but too few runs to exclude it",
        )
    p = _more_often(reference, entrant, paired=paired)
    if p <= SIGNIFICANCE:
        hits, count = complete_runs(reference.views)
        return (
            "undecided",
            f"{text}, {reference.name} in {hits} of {count}: significantly more (p = {p:.2g})",
        )
    return "met", "" if hits == count else text


def _more_often(one: Side, other: Side, *, paired: bool) -> float:
    """Return the one-sided p that `one` is complete more often: by the exact sign test over blocks
    (McNemar's), or unpaired by Fisher's test."""
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
