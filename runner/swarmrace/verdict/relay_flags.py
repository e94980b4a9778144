"""Flag runs in which the relay did not keep up, so that the delay was not the set one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from swarmrace.results.folder import Results
from swarmrace.verdict.model import Flag

LATE_SHARE = 0.01
"""Share of a run's frames that may leave late (`network.relay.LATE_SECONDS`)."""


def relay_flags(results: Results) -> Iterator[Flag]:
    """Yield a flag for each run in which the relay held frames too long or had no room for them."""
    for record in results.runs:
        if record.result is not None and (reason := _reason(record.result.relay)):
            text = f"{record.run.id}: the relay that delays frames did not keep up: {reason}"
            yield Flag(entrant=record.run.entrant, text=text)


def _reason(counts: Mapping[str, int]) -> str:
    frames, reasons = counts.get("frames", 0), []
    if counts.get("late", 0) > LATE_SHARE * frames:
        reasons.append(f"{counts['late']} of {frames} frames left late")
    if counts.get("overflowed", 0):
        reasons.append(f"{counts['overflowed']} frames found no room")
    return ", ".join(reasons)
