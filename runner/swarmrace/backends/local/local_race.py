"""What to race on one machine and where, and what its results folder is called."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from swarmrace.host.output import shortened
from swarmrace.recording.records import Trial
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems import doubles

MOST_NAME_BYTES = 180
"""Of a race's name in its folder's: a file's name has room for 255."""


@dataclass(frozen=True)
class LocalRace:
    """What to race on this machine, and where.

    Args:
        scenario: a scenario without a matrix.
        name: for the results folder.
        results_dir: the folder below which the results folder is made.
        work_dir: on whose disk payloads lie while the race runs.
        namespaces: give each peer a network namespace of its own.
        test_doubles: entrants that are known to be test doubles; then the name says so.
        trials: outcomes of earlier trials by program; a race whose programs are all among them
            holds no trials. Those of this race are added.
        holds: file descriptors of locks that nobody may have before all of this race is gone,
            even when this process is killed.
    """

    scenario: Scenario
    name: str
    results_dir: Path
    work_dir: Path | None = None
    namespaces: bool = False
    test_doubles: tuple[str, ...] = ()
    trials: dict[str, Trial] = field(default_factory=dict)
    holds: tuple[int, ...] = ()

    def folder(self) -> Path:
        """Return a new results folder's path: name, UTC time, race id."""
        when = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        name = shortened(self.name, MOST_NAME_BYTES)
        name = doubles.mark(name) if self.test_doubles else name
        return self.results_dir / f"{name}-{when}-{self.scenario.race_id()}"
