"""Races what a sweep's folder lacks, one cell after another, whoever starts the processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from rich.console import Console

from swarmrace.errors import Exit, SweepError
from swarmrace.host.infrastructure import used
from swarmrace.plan.plan import Cell, format_duration
from swarmrace.results import folder as results
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import pins, state, text
from swarmrace.sweep.lock import Lock
from swarmrace.sweep.parts import part_scenario, planned_seconds
from swarmrace.sweep.pins import Pins
from swarmrace.sweep.state import CellState, Part, SweepState
from swarmrace.units import format_size

_ROW = 2
"""So many parts in a row, given up after all their attempts, end a sweep: it can't go on here."""
_PAUSE_SECONDS = (0.0, 5.0, 30.0, 120.0)
"""Before the first retry, the second …: what troubles the machine may pass."""


class Racer(Protocol):
    """Races one part of a cell somewhere."""

    def pins(self) -> Pins:
        """Return the versions it would race with now."""
        ...

    def race(self, cell: Cell, folder: Path, known: SweepState) -> int:
        """Race a cell into `folder`, which is made, and return the exit code of its race.

        What the infrastructure does to the race is no exception: the folder says it, if there is
        one. 130 is returned when a person interrupted it.

        Raises:
            NeverStartedError: a program can't be started: no further cell could be raced.
        """
        ...

    def disk_bytes(self, scenario: Scenario) -> int:
        """Return what a race takes at most on this machine's disk, results and payloads."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """When a sweep stops before all is done."""

    retries: int = 2
    """Further attempts of a part, each time the sweep is started, when the infrastructure ended
    one."""
    budget_seconds: float | None = None
    """No cell is begun that would end later, counted from the start of the command."""
    disk_bytes: int | None = None
    """No cell is begun with which the sweep would take more."""
    cells: tuple[str, ...] | None = None
    """Ids of the only cells to race."""


class Driver:
    """One start of a sweep.

    Args:
        folder: the sweep's.
        cells: the scenarios by cell id, with whatever the racer needs besides what is raced.
        racer: where races are run.
        limits: when to stop.
        lock: held by the caller.
        console: for progress.
        watch: called with how far the sweep is, the cell that is being raced (empty between two)
            and its attempt, whenever that changes.
    """

    def __init__(
        self,
        folder: Path,
        cells: dict[str, Cell],
        racer: Racer,
        limits: Limits,
        lock: Lock,
        console: Console,
        watch: Callable[[SweepState, str, int], object] = lambda found, cell, attempt: None,
    ) -> None:
        self._folder, self._cells, self._racer = folder, cells, racer
        self._limits, self._lock, self._console = limits, lock, console
        self._watch = watch
        self._began = time.monotonic()
        self._given_up: set[tuple[str, int]] = set()
        self._in_a_row = 0

    def run(self) -> int:
        """Race until all is done or a limit is reached; return the exit code.

        Raises:
            NeverStartedError: a program can't be started.
            SweepError: a version is another than at the start.
        """
        while True:
            found = state.look(self._folder)
            refuse_mixed(found)
            self._watch(found, "", 0)
            part = self._next(found)
            if part is None:
                return self._end(found)
            cell = next(each for each in found.cells if each.cell.id == part.cell.id)
            scenario = part_scenario(
                self._cells[part.cell.id].scenario, cell, part, part.next_number
            )
            if (why := self._limit(found, part, scenario)) is not None:
                self._say(f"stopped before cell {part.cell.name}: {why}")
                return Exit.SWEEP_INCOMPLETE
            code = self._part(found, cell, part)
            if code == Exit.INTERRUPTED:
                return code
            if self._in_a_row >= _ROW:
                self._say(
                    f"stopped: {self._in_a_row} cells in a row were given up because the "
                    "infrastructure ended every attempt; what is wrong is said above: put it "
                    "right and start the sweep again"
                )
                return Exit.INFRASTRUCTURE

    def _next(self, found: SweepState) -> Part | None:
        blocked = {cell_id for cell_id, _ in self._given_up}  # later blocks continue these
        return next((each for each in self._wanted(found) if each.cell.id not in blocked), None)

    def _wanted(self, found: SweepState) -> Sequence[Part]:
        only = self._limits.cells
        return [part for part in found.missing if only is None or part.cell.id in only]

    def _part(self, found: SweepState, cell: CellState, part: Part) -> int:
        """Race a part until it is done or its retries are used up."""
        name, code = part.cell.name, int(Exit.OK)
        for tries in range(self._limits.retries + 1):
            if tries:
                pause = _PAUSE_SECONDS[min(tries - 1, len(_PAUSE_SECONDS) - 1)]
                time.sleep(pause)
            number = part.next_number
            self._say(text.beginning(found, part, number))
            refuse_other_pins(self._folder, found, self._racer.pins())
            scenario = part_scenario(self._cells[part.cell.id].scenario, cell, part, number)
            self._lock.note(name, number)
            self._watch(found, name, number)
            began = time.monotonic()
            try:
                code = self._racer.race(
                    replace(self._cells[part.cell.id], scenario=scenario),
                    part.folder / f"attempt-{number}",
                    found,
                )
            finally:
                self._lock.note()
            found = state.look(self._folder)
            cell, part = _again(found, part)
            took = time.monotonic() - began
            attempt = next((each for each in part.attempts if each.number == number), None)
            self._say(text.ended(part, attempt, took))
            if code == Exit.INTERRUPTED or part.counted is not None:
                self._in_a_row = 0
                return code
        self._given_up.add((part.cell.id, part.blocks.start))
        self._in_a_row += 1
        tried = self._limits.retries + 1
        self._say(
            f"cell {name}: given up for now after {tried} attempts; start the sweep again to try it"
            " again"
        )
        return code

    def _limit(self, found: SweepState, part: Part, scenario: Scenario) -> str | None:
        """Return why a part may not be begun, or None."""
        limits = self._limits
        if limits.budget_seconds is not None:
            spent = time.monotonic() - self._began
            expected = text.pace(found).expect(planned_seconds(part))
            if spent + expected > limits.budget_seconds:
                return (
                    f"it takes about {format_duration(expected)}, and of the budget of "
                    f"{format_duration(limits.budget_seconds)} "
                    f"{format_duration(max(0.0, limits.budget_seconds - spent))} are left"
                )
        if limits.disk_bytes is not None:
            taken, _ = used(self._folder)
            needed = self._racer.disk_bytes(scenario)
            if taken + needed > limits.disk_bytes:
                return (
                    f"it takes up to {format_size(needed)}, the sweep holds {format_size(taken)}, "
                    f"and --disk allows {format_size(limits.disk_bytes)}"
                )
        return None

    def _end(self, found: SweepState) -> int:
        if self._given_up:
            return Exit.INFRASTRUCTURE
        chosen = found.cells
        if self._limits.cells is not None:
            chosen = tuple(each for each in chosen if each.cell.id in self._limits.cells)
        codes = {each.cell.id: text.exit_code(each) for each in chosen}
        ordered = [codes[cell.id] for cell in found.sweep.cells if cell.id in codes]
        return next((code for code in ordered if code), Exit.OK)

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


def refuse_other_pins(folder: Path, found: SweepState, now: Pins) -> None:
    """Refuse versions other than those that a sweep began with.

    Raises:
        SweepError: it names both.
    """
    lines = pins.differences(found.sweep.pins, now)
    if lines:
        raise SweepError(
            f"{folder}: expected the versions that this sweep began with, found others: "
            f"{'; '.join(lines)}; begin a new sweep by --folder, or go on with the versions it "
            "began with"
        )


def refuse_mixed(found: SweepState) -> None:
    """Refuse to go on where the results say that cells were raced with several versions.

    Raises:
        SweepError: it names two.
    """
    seen: dict[str, tuple[str, str]] = {}
    for cell in found.cells:
        for part in cell.parts:
            if part.counted is None or part.counted.info is None:
                continue
            raced = results.load(part.counted.folder, curves=False)
            for name, version in pins.recorded(raced).items():
                first, where = seen.setdefault(name, (version, part.cell.name))
                if version != first:
                    raise SweepError(
                        f"{found.folder}: expected one version of each entrant, found {name} at "
                        f"{first} in cell {where} and at {version} in cell {part.cell.name}; move "
                        "the attempts of one of them away, or begin a new sweep by --folder"
                    )


def _again(found: SweepState, part: Part) -> tuple[CellState, Part]:
    cell = next(each for each in found.cells if each.cell.id == part.cell.id)
    return cell, next(each for each in cell.parts if each.blocks == part.blocks)
