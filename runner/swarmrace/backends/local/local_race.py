"""What to race on one machine, where, and the name of its results folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from swarmrace.host.output import shortened
from swarmrace.recording.records import Trial
from swarmrace.rendezvous.live.front import Front
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems import doubles

MAX_NAME_BYTES = 180
"""Maximum length of a race's name in its folder's name: a file name is limited to 255 bytes."""


@dataclass(frozen=True)
class LocalRace:
    """What to race on this machine, and where.

    Args:
        scenario: a scenario without a matrix.
        name: name of the results folder.
        results_dir: the folder in which the results folder is created.
        work_dir: the folder for payloads during the race.
        namespaces: whether each peer gets its own network namespace.
        test_doubles: entrants that are test doubles; the folder's name then marks them.
        trials: outcomes of earlier trials, by program. A race whose programs are all in it has no
            trials. The outcomes of this race are added.
        lock_fds: file descriptors of locks, held until everything of this race is gone, even if
            this process is killed.
        front: the server of the live page, if this command serves one.
    """

    scenario: Scenario
    name: str
    results_dir: Path
    work_dir: Path | None = None
    namespaces: bool = False
    test_doubles: tuple[str, ...] = ()
    trials: dict[str, Trial] = field(default_factory=dict)
    lock_fds: tuple[int, ...] = ()
    front: Front | None = None

    def folder(self) -> Path:
        """Return the path of a new results folder: name, UTC time, race id."""
        when = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        name = shortened(self.name, MAX_NAME_BYTES)
        name = doubles.mark(name) if self.test_doubles else name
        return self.results_dir / f"{name}-{when}-{self.scenario.race_id()}"
