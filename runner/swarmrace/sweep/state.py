"""The state of a sweep, read only from its results.

Layout of a sweep's folder (docs/sweeps.md)::

    sweep.json                                            the plan (`swarmrace.sweep.book`)
    sweep.lock                                            the driver
    cells/{name}-{id}/blocks-{first}-{last}/attempt-{n}   results folders

An attempt is done if its race finished, even if entrants failed in it. The first one that is
done counts. The others are listed, but never merged with it.
"""

from __future__ import annotations

import os
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
from swarmrace.results import formats, manifest
from swarmrace.results.folder import Results
from swarmrace.results.parts import merge
from swarmrace.scenario import loading as scenarios
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, lock
from swarmrace.sweep.book import PlannedCell, Sweep
from swarmrace.sweep.lock import Holder
from swarmrace.verdict.runs import view

CELLS = "cells"
_ATTEMPT = re.compile(r"attempt-([1-9]\d*)( \(test double\))?")

_REASON_FILE = "why.txt"

AttemptState = Literal["done", "ended", "running"]
"""`done`: the race finished. `ended`: the infrastructure ended it. `running`: a driver races it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One results folder of a part."""

    number: int
    """From 1. The race's `attempt` is this number plus the scenario's own `attempt` minus 1."""
    folder: Path
    state: AttemptState
    why: str
    """Why the infrastructure ended it; empty otherwise."""
    info: RaceInfo | None
    """None if there is no readable race.json."""
    run_seconds: float
    """Total wall time of its runs."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some blocks of a cell, raced as one race."""

    cell: PlannedCell
    blocks: range
    folder: Path
    """Holds the attempts; may not exist yet."""
    attempts: tuple[Attempt, ...]
    """By number."""

    @property
    def counted(self) -> Attempt | None:
        """The first attempt that finished."""
        return next((each for each in self.attempts if each.state == "done"), None)

    @property
    def failed(self) -> tuple[Attempt, ...]:
        """The attempts that the infrastructure ended."""
        return tuple(each for each in self.attempts if each.state == "ended")

    @property
    def next_number(self) -> int:
        """The number of the next attempt, which no existing folder has."""
        return max((each.number for each in self.attempts), default=0) + 1


@dataclass(frozen=True, slots=True)
class CellState:
    """A cell and its parts."""

    cell: PlannedCell
    parts: tuple[Part, ...]

    @property
    def done(self) -> bool:
        """Whether all parts have finished."""
        return all(part.counted for part in self.parts)

    @property
    def begun(self) -> bool:
        """Whether the first part has finished, so that there are results."""
        return self.parts[0].counted is not None

    def results(self) -> Results:
        """Load the attempts that count, merged over all parts that are done.

        Raises:
            ResultsError: no attempt counts yet, or one can't be read.
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
        return merge(counted)


@dataclass(frozen=True, slots=True)
class SweepState:
    """The state of a sweep's folder at one moment."""

    folder: Path
    sweep: Sweep
    cells: tuple[CellState, ...]
    """In the order in which they are raced."""
    driver: Holder | None
    """The process that drives it; None if it isn't running."""
    strays: tuple[str, ...]
    """Names of entries in `cells/` that belong to no cell."""

    @property
    def missing(self) -> tuple[Part, ...]:
        """The parts still to race, in order: the first parts of all cells before added ones."""
        rounds = max(len(cell.parts) for cell in self.cells)
        return tuple(
            cell.parts[number]
            for number in range(rounds)
            for cell in self.cells
            if number < len(cell.parts) and cell.parts[number].counted is None
        )

    @property
    def next_parts(self) -> tuple[Part, ...]:
        """The next part to race of each cell that isn't done, in order: a cell's added blocks wait
        for its earlier ones."""
        first: dict[str, Part] = {}
        for part in self.missing:
            first.setdefault(part.cell.id, part)
        return tuple(first.values())

    @property
    def failed(self) -> tuple[Attempt, ...]:
        """All attempts that the infrastructure ended."""
        return tuple(chain.from_iterable(p.failed for c in self.cells for p in c.parts))

    @property
    def counted(self) -> Iterator[Attempt]:
        """The attempts that count."""
        return (p.counted for c in self.cells for p in c.parts if p.counted is not None)


def read(folder: Path) -> SweepState:
    """Read the state of a sweep.

    Raises:
        ResultsError: `folder` holds no sweep, or its plan can't be read.
    """
    sweep = book.read(folder)
    driver = lock.current_driver(folder)
    cells = tuple(_cell(folder, cell, driver) for cell in sweep.ordered())
    known = {cell.folder_name for cell in sweep.cells}
    entries = sorted((folder / CELLS).iterdir()) if (folder / CELLS).is_dir() else []
    strays = tuple(path.name for path in entries if path.name not in known)
    return SweepState(folder, sweep, cells, driver, strays)


def part_folder(folder: Path, cell: PlannedCell, blocks: range) -> Path:
    """Return the folder of a part's attempts, below a sweep's folder."""
    return folder / CELLS / cell.folder_name / f"blocks-{blocks.start}-{blocks.stop - 1}"


def _cell(folder: Path, cell: PlannedCell, driver: Holder | None) -> CellState:
    racing = driver if driver is not None and driver.cell == cell.name else None
    parts: list[Part] = []
    for blocks in cell.parts():
        folder_of_part = part_folder(folder, cell, blocks)
        expected = _Expected(cell.id, blocks, _counted_attempt(parts))
        parts.append(
            Part(cell, blocks, folder_of_part, _attempts(folder_of_part, expected, racing))
        )
    return CellState(cell, tuple(parts))


@dataclass(frozen=True, slots=True)
class _Expected:
    """What the attempts of a part must race."""

    cell_id: str
    blocks: range
    continued: int | None
    """`attempt` of the race whose earlier blocks count; None if none counts."""

    def fault(self, scenario: Scenario) -> str:
        """Return why a race doesn't belong to the part, or an empty string."""
        race = scenario.race
        if scenario.cell_id() != self.cell_id:
            return f"belongs to another cell (found {scenario.cell_id()}, expected {self.cell_id})"
        if race.blocks != self.blocks:
            found = f"{race.blocks.start} to {race.blocks.stop - 1}"
            return f"raced blocks {found}, expected {self.blocks.start} to {self.blocks.stop - 1}"
        if race.continues is not None and race.continues.attempt != self.continued:
            counts = "none" if self.continued is None else f"attempt {self.continued}"
            return f"continues attempt {race.continues.attempt}, but {counts} counts"
        return ""


def _counted_attempt(parts: list[Part]) -> int | None:
    """Return the `attempt` of the first part's race that counts; None if a part has none."""
    if not parts or any(part.counted is None for part in parts):
        return None
    info = parts[0].counted.info if parts[0].counted else None
    return int(info.scenario["global"]["race"]["attempt"]) if info is not None else None


def _attempts(part: Path, expected: _Expected, driver: Holder | None) -> tuple[Attempt, ...]:
    if not part.is_dir():
        return ()
    found = []
    for folder in part.iterdir():
        match = _ATTEMPT.fullmatch(folder.name)
        if match and folder.is_dir():
            number = int(match[1])
            running = driver is not None and driver.attempt == number
            found.append(_attempt(folder, number, expected, running=running))
    return tuple(sorted(found, key=lambda each: each.number))


def _attempt(folder: Path, number: int, expected: _Expected, *, running: bool) -> Attempt:
    try:
        info = formats.read(folder / "race.json", RaceInfo, "race")
    except ResultsError as error:
        why = _one_line(error, folder)
        if not (folder / "race.json").exists():
            why = f"ended before anything was recorded{_recorded_reason(folder)}"
        return Attempt(number, folder, "running" if running else "ended", why, None, 0.0)
    runs, why = _runs(folder, info, expected)
    state: AttemptState = "ended" if why else "done"
    if running and info.status == "running":
        state, why = "running", ""
    return Attempt(number, folder, state, why, info, sum(run.wall_seconds for run in runs))


def record_reason(folder: Path, why: str) -> None:
    """Record why an attempt ended, in its folder that has no race.json."""
    atomic.write_bytes(folder / _REASON_FILE, f"{' '.join(why.split())}\n".encode())


def _recorded_reason(folder: Path) -> str:
    try:
        return f": {(folder / _REASON_FILE).read_text().strip()}"
    except OSError:
        return ""


def _runs(folder: Path, info: RaceInfo, expected: _Expected) -> tuple[list[RunResult], str]:
    """Return the recorded runs, and why the race is not done, or an empty string if it is."""
    try:
        scenario = scenarios.parse(info.scenario, str(folder / "race.json"), stored=True)
    except ScenarioError as error:
        return [], f"can't read its scenario: {'; '.join(map(str, error.faults))}"
    if fault := expected.fault(scenario):
        return [], fault
    planned = schedule(scenario, info.draw, info.decided_blocks)
    runs = []
    for run in planned:
        path = folder / "runs" / run.id / "run.json"
        try:
            runs.append(formats.read(path, RunResult, "run"))
        except ResultsError:
            continue
    why = {
        "running": f"cut off after {len(runs)} of {len(planned)} runs",
        "interrupted": f"interrupted after {_raced(runs)} of {len(planned)} runs",
        "stopped": f"stopped by the infrastructure: {info.stopped_by}",
        "finished": "",
    }[info.status]
    return runs, why or _damage(folder, info, runs, len(planned)) or _nothing_raced(
        folder, info, runs
    )


def _raced(runs: list[RunResult]) -> int:
    return sum(run.status == "raced" for run in runs)


def _damage(folder: Path, info: RaceInfo, runs: list[RunResult], planned: int) -> str:
    """Return which results of a finished race are missing or incomplete, or an empty string."""
    if len(runs) < planned:
        return f"its results are damaged: {planned - len(runs)} of {planned} runs have no record"
    try:
        listed = manifest.read(folder)
    except (OSError, ValueError):
        return "its results are damaged: manifest.json can't be read"
    if listed is None and info.commit:  # older formats have neither
        return "its results are damaged: manifest.json is missing"
    root = os.fspath(folder)
    lost = [
        name
        for name, entry in (listed.files if listed else {}).items()
        if name not in manifest.DERIVED and _size(f"{root}/{name}") != entry.size_bytes
    ]
    if not lost:
        return ""
    return f"its results are damaged: {len(lost)} files missing or incomplete ({lost[0]}, …)"


def _size(path: str) -> int:
    """Return a file's size, -1 without it. No `Path`: a matrix has thousands of files."""
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return -1


def _nothing_raced(folder: Path, info: RaceInfo, runs: list[RunResult]) -> str:
    """Return why a finished race doesn't count: the infrastructure ended every run."""
    if any(run.status == "raced" for run in runs):
        return ""
    absent = [name for name, each in info.trials.items() if each.outcome == "never started"]
    if absent:
        # On one machine no entrant is raced then. On a cluster the others are.
        local = info.backend.startswith("local")
        return f"nothing was raced: {', '.join(absent)} never started" if local else ""
    try:
        loaded = results.load(folder)
    except ResultsError as error:
        return _one_line(error, folder)
    views = [view(record, loaded.scenario.race) for record in loaded.runs]
    if all(each.status == "missing" for each in views):
        return f"nothing was raced: {views[0].reason}"
    return ""


def _one_line(error: Exception, folder: Path) -> str:
    return " ".join(str(error).replace(f"{folder}/", "").split())
