"""From the values of runs to what a verdict shows of them: median, least and most."""

from __future__ import annotations

from collections.abc import Iterable

from swarmrace.statistics.summary import middle
from swarmrace.verdict.model import Summary, to_value

Numbers = Iterable[float | None]


def summarize(values: Numbers) -> Summary:
    """Return median, least and most of the values that are known."""
    known = [value for value in values if value is not None]
    if not known:
        return Summary(value=None)
    return Summary(
        value=to_value(middle(known)),
        least=to_value(min(known)),
        most=to_value(max(known)),
        runs=len(known),
    )
