"""Acceptance: met, missed or undecided."""

from __future__ import annotations

import math
from collections.abc import Mapping

from swarmrace.scenario import Acceptance, Race
from swarmrace.systems import doubles
from swarmrace.units import format_seconds
from swarmrace.verdict.compare import compare, interval, no_interval, number
from swarmrace.verdict.model import AcceptanceVerdict, Ratio
from swarmrace.verdict.sides import Side
from swarmrace.verdict.stats import LEAST_BLOCKS


def accept(wanted: Acceptance, sides: Mapping[str, Side], race: Race) -> AcceptanceVerdict:
    """Judge one acceptance by the interval of the runs' t100.

    Met: the interval's upper end is at most `within`. Missed: its lower end is above it. Undecided:
    it crosses, or there is none. What exceeds the bound by less than the marks' resolution does not
    exceed it, so it is undecided rather than missed.
    """
    entrant, of = sides[wanted.entrant], sides[wanted.of]
    compared = compare(entrant, of, sequential=race.order == "sequential")
    verdict, why = _judge(compared.t100, wanted.within)
    if entrant.test_double or of.test_double:
        verdict, why = "undecided", doubles.WARNING
    elif entrant is of:
        verdict, why = "undecided", "an entrant set against itself proves nothing"
    elif compared.t100 is None:
        why = compared.why_not
    unequal = f"; {compared.unlike}" if compared.unlike else ""
    return AcceptanceVerdict(
        entrant=wanted.entrant,
        within=wanted.within,
        of=wanted.of,
        verdict=verdict,
        ratio=compared.t100,
        text=(
            f"{verdict}: {entrant.label} within {wanted.within:g} × "
            f"{of.owner} time{f' ({why})' if why else ''}{unequal}"
        ),
    )


def _judge(found: Ratio | None, within: float) -> tuple[str, str]:
    if found is None or found.blocks == 0:
        return "undecided", "no block has a number of both"
    if found.estimate == "failed":
        return _enough("missed", found, "it failed in every block, the other in none")
    if found.estimate == 0.0:
        return _enough("met", found, "the other failed in every block, it in none")
    if not isinstance(found.low, float) or not isinstance(found.high, float):
        if not isinstance(found.estimate, float):
            return "undecided", no_interval(found)
        return "undecided", f"{number(found.estimate)} {interval(found)}"
    text = f"{number(found.estimate)} {interval(found)}"  # type: ignore[arg-type]
    if found.high <= within:
        return "met", text
    if found.low > within:
        if _excess_seconds(found, within) <= found.resolution_seconds * max(1.0, within):
            resolution = format_seconds(found.resolution_seconds)
            return "undecided", f"{text}, above it by less than the resolution of {resolution}"
        return "missed", text
    return "undecided", f"{text}, which crosses it"


def _enough(verdict: str, found: Ratio, why: str) -> tuple[str, str]:
    if found.blocks < LEAST_BLOCKS:
        return "undecided", f"{why}, but below {LEAST_BLOCKS} blocks nothing is decided"
    return verdict, why


def _excess_seconds(found: Ratio, within: float) -> float:
    """Return how far the entrant's typical time lies above `within` times the other's."""
    assert isinstance(found.estimate, float)
    assert found.difference_seconds is not None
    if found.estimate == 1.0:
        return math.inf if within < 1 else 0.0
    of = found.difference_seconds / (found.estimate - 1)
    return (found.estimate - within) * of
