"""Runs in which the relay did not keep up: their delay was not what was set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from swarmrace.results.folder import Results
from swarmrace.verdict.model import Flag

LATE_SHARE = 0.01
"""Of a run's frames: how many may leave late (`network.relay.LATE_SECONDS`)."""


def relay_flags(results: Results) -> Iterator[Flag]:
    """Yield one flag for each run whose frames the relay held too long or had no room for."""
    for record in results.runs:
        if record.result is not None and (why := _why(record.result.relay)):
            text = f"{record.run.id}: the relay that delays frames did not keep up: {why}"
            yield Flag(entrant=record.run.entrant, text=text)


def _why(counts: Mapping[str, int]) -> str:
    frames, reasons = counts.get("frames", 0), []
    if counts.get("late", 0) > LATE_SHARE * frames:
        reasons.append(f"{counts['late']} of {frames} frames left late")
    if counts.get("overflowed", 0):
        reasons.append(f"{counts['overflowed']} frames found no room")
    return ", ".join(reasons)
