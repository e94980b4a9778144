"""Runs a sweep on this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from swarmrace.backends.local.local_race import LocalRace
from swarmrace.cli import run_command as local
from swarmrace.cli.display import make_console
from swarmrace.cli.sweep_request import RESULTS, make_request
from swarmrace.errors import Exit
from swarmrace.plan import checks, needs, plan
from swarmrace.plan.plan import Cell
from swarmrace.rendezvous.live.front import Front
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, pins, state, text
from swarmrace.sweep.live import SweepPage
from swarmrace.sweep.lock import Lock
from swarmrace.sweep.parts import trials_of
from swarmrace.sweep.pins import Pins
from swarmrace.sweep.start import Request, started
from swarmrace.sweep.state import SweepState
from swarmrace.systems import doubles


def race_file(
    matrix: Path,
    folder: Path | None,
    work_dir: Path | None,
    namespaces: bool | None,
    watch_on: tuple[str, int] | None,
    limits: Mapping[str, Any],
    **options: Any,
) -> int:
    """Sweep a scenario file on this machine.

    Args:
        matrix: the scenario file.
        folder: the sweep's folder; None for the default in `results`.
        work_dir: the folder for payloads.
        namespaces: see `checks.Site`.
        watch_on: host and port of the live page; None for no page.
        limits: fields of `Limits`.
        options: further fields of `Request`.

    Returns and raises as `race_here`.
    """
    scenario = checks.load_here(matrix, checks.Site(work_dir, folder or RESULTS, namespaces))
    request = make_request(scenario, matrix, folder, limits, options)
    return race_here(request, work_dir, namespaces, watch_on)


def race_here(
    request: Request,
    work_dir: Path | None,
    namespaces: bool | None,
    watch_on: tuple[str, int] | None = None,
) -> int:
    """Race a sweep's missing cells on this machine, and print its table.

    Args:
        request: what to sweep.
        work_dir: the folder for payloads.
        namespaces: see `checks.Site`.
        watch_on: host and port of the live page; None for no page.

    Returns:
        130 if it was interrupted, 11 if the infrastructure ended all attempts of a cell, 13 if a
        limit was reached, otherwise the first exit code of a cell that isn't 0.

    Raises:
        ScenarioError, UnavailableError: this machine can't race a missing cell.
        SweepError, ResultsError: see `start.started`.
        NeverStartedError: a program failed its trial.
    """
    console = make_console(stderr=True)
    site = checks.Site(work_dir, request.folder, namespaces)
    missing = _missing(request)
    if missing:
        checks.require_cells(missing, site)
        local.isolate(site, missing)
    for line in plan.acceptance_warnings(request.scenario):
        console.print(f"! {line}", soft_wrap=True)
    parent = work_dir or Path(tempfile.gettempdir())
    racer_pins = pins.local(request.scenario)
    cores = len(os.sched_getaffinity(0))

    def expect(scenario: Scenario) -> float:
        return needs.expected_seconds(scenario, cores)

    with (
        started(request, "local", parent, lambda: racer_pins, expect, console) as ready,
        local.live_page(console, watch_on) as front,
    ):
        shown = [] if front is None else [SweepPage(front.put_sweep).update]
        code = ready.drive(LocalRacer(request, site, ready.lock, console, front), *shown)
    make_console().print(text.render(state.read(request.folder)))
    if code == Exit.INTERRUPTED:
        console.print("interrupted: start the sweep again to resume it", soft_wrap=True)
    return code


def _missing(request: Request) -> list[Cell]:
    """Return the cells to race, by the current content of the folder."""
    cells = plan.expand(request.scenario)
    if request.repetitions is not None or not book.exists(request.folder):
        return cells
    missing = {part.cell.id for part in state.read(request.folder).next_parts}
    return [cell for cell in cells if cell.scenario.cell_id() in missing]


@dataclass(frozen=True)
class LocalRacer:
    """Races cells on this machine."""

    request: Request
    site: checks.Site
    lock: Lock
    console: Console
    front: Front | None = None

    def pins(self) -> Pins:
        """Return the current versions."""
        return pins.local(self.request.scenario)

    def disk_bytes(self, scenario: Scenario) -> int:
        """Return the maximum disk space of a race: results and payloads."""
        return needs.payload_bytes(scenario) + needs.results_bytes(scenario)

    def race(self, cell: Cell, folder: Path, known: SweepState) -> int:
        """Race a cell into `folder`, whose name is marked if test doubles are raced."""
        test_doubles = doubles.doubles_among(cell.scenario.entrants)
        race = LocalRace(
            cell.scenario,
            f"{self.request.name}-{cell.name}",
            folder.parent,
            self.site.work_dir,
            self.site.isolates(cell.scenario),
            test_doubles,
            trials_of(known),
            (self.lock.fd,),
            self.front,
        )
        target = folder.with_name(doubles.mark(folder.name)) if test_doubles else folder
        return local.race_one(self.console, race, target).code
