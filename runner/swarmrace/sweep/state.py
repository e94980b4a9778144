"""How far a sweep is, read from its results alone.

Layout of a sweep's folder (docs/sweeps.md)::

    sweep.json                                            the plan (`swarmrace.sweep.book`)
    sweep.lock                                            who drives it
    cells/{name}-{id}/blocks-{first}-{last}/attempt-{n}   results folders

An attempt is done when its race ran to its end, whatever failed in it. The first one that did
counts; the others were ended by the infrastructure and are listed, never merged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from swarmrace import atomic
from swarmrace.errors import ResultsError, ScenarioError
from swarmrace.plan.schedule import schedule
from swarmrace.recording.records import RaceInfo, RunResult
from swarmrace.results import folder as results
from swarmrace.results import manifest
from swarmrace.results.folder import Results
from swarmrace.results.parts import merged
from swarmrace.scenario import loading as scenarios
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, lock
from swarmrace.sweep.book import PlannedCell, Sweep
from swarmrace.sweep.lock import Holder
from swarmrace.verdict.runs import view

CELLS = "cells"
_ATTEMPT = re.compile(r"attempt-([1-9]\d*)( \(test double\))?")

_WHY = "why.txt"

AttemptState = Literal["done", "ended", "running"]
"""`done`: ran to its end; `ended`: the infrastructure ended it; `running`: a driver races it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One results folder of a part."""

    number: int
    """From 1; the race's `attempt` is it, added to the scenario's own minus 1."""
    folder: Path
    state: AttemptState
    why: str
    """What of the infrastructure ended it; empty otherwise."""
    info: RaceInfo | None
    """None where there is no readable race.json."""
    run_seconds: float
    """Wall time of its runs together."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some blocks of a cell, raced as one race."""

    cell: PlannedCell
    blocks: range
    folder: Path
    """Below it are the attempts; it may not be there yet."""
    attempts: tuple[Attempt, ...]
    """By number."""

    @property
    def counted(self) -> Attempt | None:
        """The first attempt that ran to its end."""
        return next((each for each in self.attempts if each.state == "done"), None)

    @property
    def failed(self) -> tuple[Attempt, ...]:
        """The attempts that the infrastructure ended."""
        return tuple(each for each in self.attempts if each.state == "ended")

    @property
    def next_number(self) -> int:
        """The number of the next attempt: no folder's that is there."""
        return max((each.number for each in self.attempts), default=0) + 1


@dataclass(frozen=True, slots=True)
class CellState:
    """One cell."""

    cell: PlannedCell
    parts: tuple[Part, ...]

    @property
    def done(self) -> bool:
        """Whether all of its parts ran to their end."""
        return all(part.counted for part in self.parts)

    @property
    def begun(self) -> bool:
        """Whether at least one part ran to its end, so that there are results."""
        return self.parts[0].counted is not None

    def results(self) -> Results:
        """Load what counts of this cell, all parts that are done as one.

        Raises:
            ResultsError: nothing counts yet, or it can't be read.
        """
        counted = []
        for part in self.parts:
            if part.counted is None:
                break  # a later part would leave a gap in the blocks
            counted.append(results.load(part.counted.folder))
        if not counted:
            raise ResultsError(
                f"{self.parts[0].folder}: expected an attempt that ran to its end, found none"
            )
        return merged(counted)


@dataclass(frozen=True, slots=True)
class SweepState:
    """A sweep's folder, looked at once."""

    folder: Path
    sweep: Sweep
    cells: tuple[CellState, ...]
    """In the order in which they are raced."""
    driver: Holder | None
    """Who drives it at the moment."""
    strays: tuple[str, ...]
    """What is in `cells/` and belongs to no cell, by name."""

    @property
    def missing(self) -> tuple[Part, ...]:
        """The parts still to race, in order: each cell's first part before any that was added."""
        rounds = max(len(cell.parts) for cell in self.cells)
        return tuple(
            cell.parts[number]
            for number in range(rounds)
            for cell in self.cells
            if number < len(cell.parts) and cell.parts[number].counted is None
        )

    @property
    def failed(self) -> tuple[Attempt, ...]:
        """All attempts that the infrastructure ended."""
        return tuple(chain.from_iterable(p.failed for c in self.cells for p in c.parts))

    @property
    def counted(self) -> Iterator[Attempt]:
        """The attempts that count."""
        return (p.counted for c in self.cells for p in c.parts if p.counted is not None)


def look(folder: Path) -> SweepState:
    """Read how far a sweep is.

    Raises:
        ResultsError: there is no sweep in `folder`, or its plan can't be read.
    """
    sweep = book.read(folder)
    driver = lock.driving(folder)
    cells = tuple(_cell(folder, cell, driver) for cell in sweep.ordered())
    known = {cell.folder_name for cell in sweep.cells}
    entries = sorted((folder / CELLS).iterdir()) if (folder / CELLS).is_dir() else []
    strays = tuple(path.name for path in entries if path.name not in known)
    return SweepState(folder, sweep, cells, driver, strays)


def part_folder(folder: Path, cell: PlannedCell, blocks: range) -> Path:
    """Return where the attempts of a part are, below a sweep's folder."""
    return folder / CELLS / cell.folder_name / f"blocks-{blocks.start}-{blocks.stop - 1}"


def _cell(folder: Path, cell: PlannedCell, driver: Holder | None) -> CellState:
    at_work = driver if driver is not None and driver.cell == cell.name else None
    parts: list[Part] = []
    for blocks in cell.parts():
        where = part_folder(folder, cell, blocks)
        expected = _Expected(cell.id, blocks, _attempt_of(parts))
        parts.append(Part(cell, blocks, where, _attempts(where, expected, at_work)))
    return CellState(cell, tuple(parts))


@dataclass(frozen=True, slots=True)
class _Expected:
    """What a part's attempts must have raced."""

    cell_id: str
    blocks: range
    continued: int | None
    """The race's `attempt` that the blocks before count of; None where none counts."""

    def fault(self, scenario: Scenario) -> str:
        """Return why a race is none of them, or nothing."""
        race = scenario.race
        if scenario.cell_id() != self.cell_id:
            return f"is of another cell ({scenario.cell_id()}, expected {self.cell_id})"
        if race.blocks != self.blocks:
            found = f"{race.blocks.start} to {race.blocks.stop - 1}"
            return f"is of blocks {found}, expected {self.blocks.start} to {self.blocks.stop - 1}"
        if race.continues is not None and race.continues.attempt != self.continued:
            counts = "none" if self.continued is None else str(self.continued)
            return f"continues attempt {race.continues.attempt}, of which {counts} counts"
        return ""


def _attempt_of(parts: list[Part]) -> int | None:
    """Return the `attempt` of the race that the first blocks count of, if those before count."""
    if not parts or any(part.counted is None for part in parts):
        return None
    info = parts[0].counted.info if parts[0].counted else None
    return int(info.scenario["global"]["race"]["attempt"]) if info is not None else None


def _attempts(where: Path, expected: _Expected, driver: Holder | None) -> tuple[Attempt, ...]:
    if not where.is_dir():
        return ()
    found = []
    for folder in where.iterdir():
        match = _ATTEMPT.fullmatch(folder.name)
        if match and folder.is_dir():
            number = int(match[1])
            running = driver is not None and driver.attempt == number
            found.append(_attempt(folder, number, expected, running=running))
    return tuple(sorted(found, key=lambda each: each.number))


def _attempt(folder: Path, number: int, expected: _Expected, *, running: bool) -> Attempt:
    try:
        info = results.read(folder / "race.json", RaceInfo, "race")
    except ResultsError as error:
        why = _line(error, folder)
        if not (folder / "race.json").exists():
            why = f"ended before anything was recorded{_noted(folder)}"
        return Attempt(number, folder, "running" if running else "ended", why, None, 0.0)
    runs, why = _runs(folder, info, expected)
    state: AttemptState = "ended" if why else "done"
    if running and info.status == "running":
        state, why = "running", ""
    return Attempt(number, folder, state, why, info, sum(run.wall_seconds for run in runs))


def note_why(folder: Path, why: str) -> None:
    """Note in an attempt's folder without a race what ended it."""
    atomic.write_bytes(folder / _WHY, f"{' '.join(why.split())}\n".encode())


def _noted(folder: Path) -> str:
    try:
        return f": {(folder / _WHY).read_text().strip()}"
    except OSError:
        return ""


def _runs(folder: Path, info: RaceInfo, expected: _Expected) -> tuple[list[RunResult], str]:
    """Return the runs that are recorded, and why the race did not run to its end, if so."""
    try:
        scenario = scenarios.parse(info.scenario, str(folder / "race.json"), stored=True)
    except ScenarioError as error:
        return [], f"its scenario can't be read: {'; '.join(map(str, error.faults))}"
    if fault := expected.fault(scenario):
        return [], fault
    planned = schedule(scenario, info.draw, info.decided_blocks)
    runs = []
    for run in planned:
        path = folder / "runs" / run.id / "run.json"
        try:
            runs.append(results.read(path, RunResult, "run"))
        except ResultsError:
            continue
    why = {
        "running": f"cut off after {len(runs)} of {len(planned)} runs",
        "interrupted": f"interrupted after {_raced(runs)} of {len(planned)} runs",
        "stopped": f"stopped by the infrastructure: {info.stopped_by}",
        "finished": "",
    }[info.status]
    return runs, why or _damage(folder, runs, len(planned)) or _nothing_raced(folder, info, runs)


def _raced(runs: list[RunResult]) -> int:
    return sum(run.status == "raced" for run in runs)


def _damage(folder: Path, runs: list[RunResult], planned: int) -> str:
    """Return what of a finished race's results is gone or torn."""
    if len(runs) < planned:
        return f"its results are damaged: {planned - len(runs)} of {planned} runs have no record"
    try:
        listed = manifest.read(folder)
    except (OSError, ValueError):
        return "its results are damaged: manifest.json can't be read"
    lost = [
        name
        for name, entry in (listed.files if listed else {}).items()
        if name not in manifest.DERIVED and _size(folder / name) != entry.size_bytes
    ]
    if not lost:
        return ""
    return f"its results are damaged: {len(lost)} files are gone or torn ({lost[0]}, …)"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _nothing_raced(folder: Path, info: RaceInfo, runs: list[RunResult]) -> str:
    """Return why a race that ended is none: every run was lost to the infrastructure."""
    if any(run.status == "raced" for run in runs):
        return ""
    absent = [name for name, each in info.trials.items() if each.outcome == "never started"]
    if absent:
        # On one machine nothing is raced then, whoever else could; in pods the others are.
        local = info.backend.startswith("local")
        return f"nothing was raced: {', '.join(absent)} never started" if local else ""
    try:
        loaded = results.load(folder)
    except ResultsError as error:
        return _line(error, folder)
    views = [view(record, loaded.scenario.race) for record in loaded.runs]
    if all(each.status == "missing" for each in views):
        return f"nothing was raced: {views[0].reason}"
    return ""


def _line(error: Exception, folder: Path) -> str:
    return " ".join(str(error).replace(f"{folder}/", "").split())
