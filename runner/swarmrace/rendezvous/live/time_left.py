"""An estimate of the time left in a race, from its closed runs, before that from the plan."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping

from swarmrace.plan import needs
from swarmrace.recording.records import RunResult
from swarmrace.scenario.scenario import Scenario
from swarmrace.statistics.summary import middle
from swarmrace.systems.run import Run


class RaceTimeLeft:
    """Expects each run to take as long as its entrant's median run so far.

    Args:
        scenario: what is raced.
        planned: returns how long the plan expects a run of an entrant to take, in seconds.
    """

    def __init__(self, scenario: Scenario, planned: Callable[[str], float] | None = None) -> None:
        self._scenario = scenario
        self._planned = planned or self._by_plan
        self._expected: dict[str, float] = {}
        self._seen = -1

    def seconds(
        self,
        runs: Collection[Run],
        closed: Mapping[str, RunResult],
        in_flight: str | None,
        flown_seconds: float,
    ) -> float:
        """Return an estimate of the seconds left.

        Args:
            runs: all runs of the schedule.
            closed: the records of the closed ones.
            in_flight: the id of the run that is raced now.
            flown_seconds: seconds since it began.
        """
        if len(closed) != self._seen:
            self._seen = len(closed)
            self._expected = {
                name: self._seconds_of(name, closed) for name in self._scenario.entrants
            }
        left = sum(
            self._expected[run.entrant]
            for run in runs
            if run.id not in closed and run.id != in_flight
        )
        now = next((run for run in runs if run.id == in_flight), None)
        return left + (max(0.0, self._expected[now.entrant] - flown_seconds) if now else 0.0)

    def _seconds_of(self, entrant: str, closed: Mapping[str, RunResult]) -> float:
        took = [
            each.wall_seconds
            for each in closed.values()
            if each.entrant == entrant and each.status == "raced"
        ]
        return middle(took) if took else self._planned(entrant)

    def _by_plan(self, entrant: str) -> float:
        cores = len(os.sched_getaffinity(0))
        return needs.run_seconds(self._scenario.race, self._scenario.entrants[entrant], cores)
