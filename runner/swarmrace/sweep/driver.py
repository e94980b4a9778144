"""Races the missing cells of a sweep, one after another, on any backend."""

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

_MAX_GIVEN_UP_IN_A_ROW = 2
"""The sweep ends after this many parts in a row that failed in all their attempts."""
_PAUSE_SECONDS = (0.0, 5.0, 30.0, 120.0)
"""Pause before the first retry, the second and so on: the machine's trouble may pass."""


class Racer(Protocol):
    """Races one part of a cell somewhere."""

    def pins(self) -> Pins:
        """Return the versions that the next race would use."""
        ...

    def race(self, cell: Cell, folder: Path, known: SweepState) -> int:
        """Race a cell, write its results to the new `folder`, and return the race's exit code.

        A race that the infrastructure ends raises nothing: its folder, if any, records why. The
        exit code is 130 if a person interrupted the race.

        Raises:
            NeverStartedError: a program can't be started, so no further cell could be raced.
        """
        ...

    def disk_bytes(self, scenario: Scenario) -> int:
        """Return the maximum disk space of a race on this machine: results and payloads."""
        ...


@dataclass(frozen=True, slots=True)
class SweepLimits:
    """When a sweep stops before all cells are done."""

    retries: int = 2
    """Maximum number of further attempts of a part, per start of the sweep, after the
    infrastructure ended one."""
    budget_seconds: float | None = None
    """A cell isn't begun if it is expected to end later than this after the command's start."""
    disk_bytes: int | None = None
    """A cell isn't begun if the sweep could then take more disk space than this."""
    cells: tuple[str, ...] | None = None
    """Ids of the cells to race; None for all."""


class Driver:
    """One start of a sweep.

    Args:
        folder: the sweep's folder.
        cells: the cells by id. Their scenarios may have further keys that the racer needs.
        racer: runs the races.
        limits: when to stop.
        lock: the sweep's lock, held by the caller.
        console: for progress.
        watch: called on every change with the sweep's state, the name of the cell that is being
            raced (empty between cells) and the number of its attempt.
    """

    def __init__(
        self,
        folder: Path,
        cells: dict[str, Cell],
        racer: Racer,
        limits: SweepLimits,
        lock: Lock,
        console: Console,
        watch: Callable[[SweepState, str, int], object] = lambda found, cell, attempt: None,
    ) -> None:
        self._folder, self._cells, self._racer = folder, cells, racer
        self._limits, self._lock, self._console = limits, lock, console
        self._watch = watch
        self._began = time.monotonic()
        self._versions: Versions = {}
        self._given_up: set[tuple[str, int]] = set()
        self._given_up_in_a_row = 0

    def run(self) -> int:
        """Race until all cells are done or a limit is reached; return the exit code.

        Raises:
            NeverStartedError: a program can't be started.
            SweepError: a version has changed since the sweep began.
        """
        found = state.read(self._folder)
        while True:
            refuse_mixed_versions(found, self._versions)
            self._watch(found, "", 0)
            part = self._next(found)
            if part is None:
                return self._end(found)
            cell = next(each for each in found.cells if each.cell.id == part.cell.id)
            scenario = part_scenario(
                self._cells[part.cell.id].scenario, cell, part, part.next_number
            )
            if (why := self._limit(found, part, scenario)) is not None:
                self._print(f"stopped before cell {part.cell.name}: {why}")
                return Exit.SWEEP_INCOMPLETE
            code, found = self._race_part(found, cell, part)
            if code == Exit.INTERRUPTED:
                return code
            if self._given_up_in_a_row >= _MAX_GIVEN_UP_IN_A_ROW:
                self._print(
                    f"stopped: {self._given_up_in_a_row} cells in a row were given up because the "
                    "infrastructure ended every attempt; fix the cause named above, then start the "
                    "sweep again"
                )
                return Exit.INFRASTRUCTURE

    def _next(self, found: SweepState) -> Part | None:
        blocked = {cell_id for cell_id, _ in self._given_up}  # later blocks continue these
        return next((each for each in self._missing(found) if each.cell.id not in blocked), None)

    def _missing(self, found: SweepState) -> Sequence[Part]:
        only = self._limits.cells
        return [part for part in found.missing if only is None or part.cell.id in only]

    def _race_part(self, found: SweepState, cell: CellState, part: Part) -> tuple[int, SweepState]:
        """Race a part until it is done or has no retries left; return the last exit code and the
        sweep's state after it."""
        name, code = part.cell.name, int(Exit.OK)
        for tries in range(self._limits.retries + 1):
            if tries:
                pause = _PAUSE_SECONDS[min(tries - 1, len(_PAUSE_SECONDS) - 1)]
                time.sleep(pause)
            number = part.next_number
            self._print(text.start_line(found, part, number))
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
            found = state.read(self._folder)
            cell, part = _updated(found, part)
            took = time.monotonic() - began
            attempt = next((each for each in part.attempts if each.number == number), None)
            self._print(text.end_line(part, attempt, took))
            if code == Exit.INTERRUPTED or part.counted is not None:
                self._given_up_in_a_row = 0
                return code, found
        self._given_up.add((part.cell.id, part.blocks.start))
        self._given_up_in_a_row += 1
        tried = self._limits.retries + 1
        self._print(
            f"cell {name}: given up for now after {tried} attempts; start the sweep again to retry "
            "it"
        )
        return code, found

    def _limit(self, found: SweepState, part: Part, scenario: Scenario) -> str | None:
        """Return the limit that forbids to begin a part, or None."""
        limits = self._limits
        if limits.budget_seconds is not None:
            spent = time.monotonic() - self._began
            expected = text.pace(found).expect(planned_seconds(part))
            if spent + expected > limits.budget_seconds:
                left = max(0.0, limits.budget_seconds - spent)
                return (
                    f"it takes about {format_duration(expected)}, but only {format_duration(left)} "
                    f"of the budget of {format_duration(limits.budget_seconds)} is left"
                )
        if limits.disk_bytes is not None:
            taken, _ = used(self._folder)
            needed = self._racer.disk_bytes(scenario)
            if taken + needed > limits.disk_bytes:
                return (
                    f"it takes up to {format_size(needed)}, the sweep takes {format_size(taken)}, "
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

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


def refuse_other_pins(folder: Path, found: SweepState, now: Pins) -> None:
    """Refuse versions other than those that a sweep began with.

    Raises:
        SweepError: a version differs; the message names both.
    """
    lines = pins.differences(found.sweep.pins, now)
    if lines:
        raise SweepError(
            f"{folder}: expected the versions that this sweep began with, found others: "
            f"{'; '.join(lines)}; begin a new sweep with --folder, or use the original versions"
        )


Versions = dict[tuple[Path, str], dict[str, str]]
"""The versions recorded in attempts (`pins.recorded`), by folder and creation time."""


def refuse_mixed_versions(found: SweepState, known: Versions | None = None) -> None:
    """Refuse a sweep whose results were raced with several versions of the same program.

    Args:
        found: the sweep's state.
        known: attempts read before, extended here: reading all cells of a matrix takes seconds.

    Raises:
        SweepError: the versions are mixed; the message names two.
    """
    known = {} if known is None else known
    seen: dict[str, tuple[str, str]] = {}
    for cell in found.cells:
        for part in cell.parts:
            if part.counted is None or part.counted.info is None:
                continue
            key = part.counted.folder, part.counted.info.created_utc
            if key not in known:
                known[key] = pins.recorded(results.load(part.counted.folder, curves=False))
            for name, version in known[key].items():
                first, first_cell = seen.setdefault(name, (version, part.cell.name))
                if version != first:
                    raise SweepError(
                        f"{found.folder}: found {name} at {first} in cell {first_cell} and at "
                        f"{version} in cell {part.cell.name}, expected one version in all cells; "
                        "move the attempts of one of them away, or begin a new sweep with --folder"
                    )


def _updated(found: SweepState, part: Part) -> tuple[CellState, Part]:
    cell = next(each for each in found.cells if each.cell.id == part.cell.id)
    return cell, next(each for each in cell.parts if each.blocks == part.blocks)
