"""Summarize the values of runs by median, minimum and maximum."""

from __future__ import annotations

from collections.abc import Iterable

from swarmrace.statistics.summary import middle
from swarmrace.verdict.model import Summary, to_value

Numbers = Iterable[float | None]


def summarize(values: Numbers) -> Summary:
    """Return median, minimum and maximum of the known values."""
    known = [value for value in values if value is not None]
    if not known:
        return Summary(value=None)
    return Summary(
        value=to_value(middle(known)),
        least=to_value(min(known)),
        most=to_value(max(known)),
        runs=len(known),
    )
