"""How long a race may take at most: what the deadline of a peers' Job must exceed."""

from __future__ import annotations

from collections import Counter

from swarmrace.rendezvous.flight import BOUNDS, MARGIN_SECONDS, MAX_LEAD_SECONDS
from swarmrace.scenario.scenario import Scenario

ASSEMBLE_TIMES = 2
"""`assembleSeconds` bounds a peer's wait for its tracker, and then everybody's wait for all."""


def timeouts_seconds(scenario: Scenario) -> float:
    """Return the sum of everything that the rendezvous waits for: no peer can work for longer."""
    times = {key: float(value) for key, value in scenario.race.timeouts}
    bounds: Counter[str] = Counter()
    for bound, often in BOUNDS.values():
        bounds[bound] += often
    run = sum(often * times[bound] for bound, often in bounds.items())
    run += len(BOUNDS) * MARGIN_SECONDS + MAX_LEAD_SECONDS
    # A program's trial takes no longer than a run.
    runs = (scenario.race.repetitions + 1) * len(scenario.entrants)
    return ASSEMBLE_TIMES * times["assemble_seconds"] + runs * run
