"""A sweep on this machine, and how far one is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from swarmrace.backends.local.local_race import LocalRace
from swarmrace.cli import run_command as local
from swarmrace.cli.display import make_console
from swarmrace.errors import Exit
from swarmrace.host.output import printable
from swarmrace.plan import checks, needs, plan
from swarmrace.plan.plan import Cell
from swarmrace.recording.records import Trial
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, pins, state, text
from swarmrace.sweep.driver import Limits
from swarmrace.sweep.lock import Lock
from swarmrace.sweep.pins import Pins
from swarmrace.sweep.start import Request, default_folder, started
from swarmrace.sweep.state import SweepState
from swarmrace.sweep.watching import SweepMetrics
from swarmrace.systems import doubles

RESULTS = Path("results")
"""Below which a sweep's folder is unless another one is given."""
_OF_VERDICTS = frozenset(
    (Exit.ACCEPTANCE_MISSED, Exit.ACCEPTANCE_UNDECIDED, Exit.RACE, Exit.TRANSFERS_FAILED)
)


def judged(code: int, fail_on: str) -> int:
    """Return a sweep's exit code: with `fail_on` `incomplete` a verdict is no failure."""
    return Exit.OK if fail_on == "incomplete" and code in _OF_VERDICTS else code


def print_status(folder: Path, fail_on: str | None, *, as_json: bool) -> int:
    """Print how far a sweep is; return its exit code by the stored results.

    Args:
        folder: the sweep's.
        fail_on: `verdict`, `incomplete`, or None for 0 whatever is stored.
        as_json: print it for programs.

    Raises:
        ResultsError: there is no sweep in `folder`.
    """
    found = state.look(folder)
    if as_json:
        click.echo(text.to_json(found))
    else:
        make_console().print(text.render(found))
    if fail_on is None:
        return Exit.OK
    if found.missing:
        return Exit.SWEEP_INCOMPLETE
    codes = (judged(text.exit_code(cell), fail_on) for cell in found.cells)
    return next((code for code in codes if code), Exit.OK)


def exported(listen: tuple[str, int] | None, push_url: str | None) -> SweepMetrics:
    """Return what a sweep exports, served and pushed as asked for.

    Raises:
        UnavailableError: the address can't be listened on.
    """
    metrics = SweepMetrics(push_url)
    if listen is not None:
        metrics.serve(*listen)
    return metrics


def race_file(
    matrix: Path,
    folder: Path | None,
    work_dir: Path | None,
    namespaces: bool | None,
    limits: Mapping[str, Any],
    **options: Any,
) -> int:
    """Sweep a scenario file on this machine.

    Args:
        matrix: the file.
        folder: the sweep's; below `results` when absent.
        work_dir: on whose disk payloads are.
        namespaces: see `checks.Site`.
        limits: fields of `Limits`.
        options: further fields of `Request`.

    Returns, raises: as `race_here`.
    """
    scenario = checks.load_here(matrix, checks.Site(work_dir, folder or RESULTS, namespaces))
    name = printable(matrix.stem)
    where = folder or default_folder(RESULTS, name, scenario.race.attempt)
    request = Request(scenario, name, where, limits=Limits(**limits), **options)
    return race_here(request, work_dir, namespaces)


def race_on_cluster(
    matrix: Path,
    folder: Path | None,
    cluster: Mapping[str, Any],
    limits: Mapping[str, Any],
    **options: Any,
) -> int:
    """Sweep a scenario file on a cluster.

    Args:
        matrix: the file.
        folder: the sweep's; below `results` when absent.
        cluster: `namespace`, `context`, `chart`, `values` (`sweep_cluster.race_there`).
        limits: fields of `Limits`.
        options: further fields of `Request`.

    Returns, raises: as `sweep_cluster.race_there`.
    """
    from swarmrace.cli import sweep_cluster

    scenario = checks.load(matrix)
    name = printable(matrix.stem)
    where = folder or default_folder(RESULTS, name, scenario.race.attempt)
    request = Request(scenario, name, where, limits=Limits(**limits), **options)
    given = {**cluster, "chart": cluster["chart"] or sweep_cluster.default_chart()}
    return sweep_cluster.race_there(request, matrix, **given)


def tidy_cluster(matrix: Path, cluster: Mapping[str, Any]) -> None:
    """Remove what a sweep's interrupted cell left on a cluster.

    Args:
        matrix: the scenario file.
        cluster: as `race_on_cluster`.

    Raises:
        UnavailableError, InfrastructureError: as `Release.remove`.
    """
    from swarmrace.cli import sweep_cluster

    name = sweep_cluster.release_name(printable(matrix.stem), checks.load(matrix))
    sweep_cluster.tidy(name, cluster["namespace"], cluster["context"])


def race_here(request: Request, work_dir: Path | None, namespaces: bool | None) -> int:
    """Race what a sweep lacks, on this machine, and print its table.

    Returns:
        130 when it was interrupted, 11 when the infrastructure ended all attempts of a cell, 13
        when a limit was reached, otherwise the first cell's exit code that isn't 0.

    Raises:
        ScenarioError, UnavailableError: this machine can't race what is missing.
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
    where = work_dir or Path(tempfile.gettempdir())
    racer_pins = pins.local(request.scenario)
    cores = len(os.sched_getaffinity(0))

    def expect(scenario: Scenario) -> float:
        return needs.expected_seconds(scenario, cores)

    with started(request, "local", where, lambda: racer_pins, expect, console) as ready:
        code = ready.drive(LocalRacer(request, site, ready.lock, console))
    make_console().print(text.render(state.look(request.folder)))
    if code == Exit.INTERRUPTED:
        console.print("interrupted: start the sweep again to go on", soft_wrap=True)
    return code


def _missing(request: Request) -> list[Cell]:
    """Return the cells to race, by what is in the folder now."""
    cells = plan.expand(request.scenario)
    if request.repetitions is not None or not book.exists(request.folder):
        return cells
    missing = {part.cell.id for part in state.look(request.folder).missing}
    return [cell for cell in cells if cell.scenario.cell_id() in missing]


@dataclass(frozen=True)
class LocalRacer:
    """Races cells on this machine."""

    request: Request
    site: checks.Site
    lock: Lock
    console: Console

    def pins(self) -> Pins:
        """Return the versions of now."""
        return pins.local(self.request.scenario)

    def disk_bytes(self, scenario: Scenario) -> int:
        """Return what a race takes at most, results and payloads."""
        return needs.payload_bytes(scenario) + needs.results_bytes(scenario)

    def race(self, cell: Cell, folder: Path, known: SweepState) -> int:
        """Race a cell."""
        played = doubles.doubles_among(cell.scenario.entrants)
        race = LocalRace(
            cell.scenario,
            f"{self.request.name}-{cell.name}",
            folder.parent,
            self.site.work_dir,
            self.site.isolates(cell.scenario),
            played,
            trials_of(known),
            (self.lock.fd,),
        )
        where = folder.with_name(doubles.mark(folder.name)) if played else folder
        return local.one(self.console, race, where, text.exit_code_of).code


def trials_of(found: SweepState) -> dict[str, Trial]:
    """Return the programs that have started in a trial of this sweep, by `program_id`: they need
    no other."""
    return {
        trial.program: trial
        for cell in found.cells
        for part in cell.parts
        for attempt in part.attempts
        for trial in (attempt.info.trials.values() if attempt.info else ())
        if trial.outcome == "started"
    }
