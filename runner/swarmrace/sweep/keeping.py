"""Stores a race's results in a sweep's folder, for a driver that only starts races (Argo CD).

The folder is on a claim; the pod that waits for a race stores its results there as an attempt,
atomically.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swarmrace import atomic
from swarmrace.errors import ResultsError, SweepError
from swarmrace.recording.records import RaceInfo
from swarmrace.results import formats
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, state
from swarmrace.sweep.book import PlannedCell
from swarmrace.sweep.state import Attempt, Part
from swarmrace.systems import doubles

_INCOMING = ".incoming-"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a race's results belong in a sweep's folder."""

    sweep: Path
    cell: PlannedCell
    blocks: range
    number: int
    """The attempt's number, from the race's `attempt`; if another race has it already, the next
    free number is used."""

    @property
    def part(self) -> Path:
        """The folder with the attempts."""
        return state.part_folder(self.sweep, self.cell, self.blocks)

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """Yield a new folder beside the attempts; it is removed afterwards unless it was kept.

        Folders left unfinished by earlier pods are removed first; the caller holds the sweep's
        lock.

        Raises:
            OSError: the claim can't be written.
        """
        self.part.mkdir(parents=True, exist_ok=True)
        for unfinished in self.part.glob(f"{_INCOMING}*"):
            shutil.rmtree(unfinished)
        folder = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self.part))
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, incoming: Path) -> Attempt:
        """Make the incoming folder an attempt, durably, and return the attempt; a race that is
        already there is not stored twice.

        Raises:
            OSError: the claim can't be written.
        """
        head = _head(incoming)
        found, number = self._found(), self.number
        for attempt in found.attempts:
            if head is not None and attempt.info is not None and _same(attempt.info, head):
                return attempt
        if any(each.number == number for each in found.attempts):
            number = found.next_number
        name = f"attempt-{number}"
        target = self.part / (doubles.mark(name) if head and head.test_doubles else name)
        _sync(incoming)
        incoming.rename(target)
        atomic.sync_folder(self.part)
        return next(each for each in self._found().attempts if each.number == number)

    def _found(self) -> Part:
        for cell in state.read(self.sweep).cells:
            for part in cell.parts:
                if (part.cell.id, part.blocks) == (self.cell.id, self.blocks):
                    return part
        raise SweepError(
            f"{self.sweep}: cell {self.cell.name} was removed from the plan during its race"
        )


def place(sweep: Path, scenario: Scenario) -> Place:
    """Return where a scenario's results belong.

    Args:
        sweep: the sweep's folder.
        scenario: the race's scenario, without a matrix.

    Raises:
        ResultsError: the folder has no sweep.
        SweepError: the race isn't part of the sweep.
    """
    plan = book.read(sweep)
    cell_id, blocks = scenario.cell_id(), scenario.race.blocks
    cell = plan.cell(cell_id)
    if blocks not in cell.parts():
        parts = ", ".join(f"{part.start} to {part.stop - 1}" for part in cell.parts())
        raise SweepError(
            f"{sweep}: cell {cell.name}: found blocks {blocks.start} to {blocks.stop - 1}, "
            f"expected {parts}; write the list of cells again (`swarmrace plan --format argocd`)"
        )
    first_attempt = int(plan.scenario["global"]["race"]["attempt"])
    number = scenario.race.attempt - first_attempt + 1
    if number < 1:
        raise SweepError(
            f"{sweep}: global.race.attempt: found {scenario.race.attempt}, expected at least "
            f"{first_attempt}, with which the sweep began"
        )
    return Place(sweep, cell, blocks, number)


def _head(folder: Path) -> RaceInfo | None:
    try:
        return formats.read(folder / "race.json", RaceInfo, "race")
    except ResultsError:
        return None


def _same(one: RaceInfo, other: RaceInfo) -> bool:
    return (one.race_id, one.release_hash, one.created_utc) == (
        other.race_id,
        other.release_hash,
        other.created_utc,
    )


def _sync(folder: Path) -> None:
    """Flush every file and folder below `folder` to disk."""
    for path in folder.rglob("*"):
        if path.is_dir():
            atomic.sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    atomic.sync_folder(folder)
