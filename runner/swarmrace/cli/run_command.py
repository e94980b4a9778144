"""`swarmrace run`: check, race, print the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from swarmrace.backends.local.backend import run
from swarmrace.backends.local.local_race import LocalRace
from swarmrace.cli.display import display, make_console
from swarmrace.errors import Exit, NeverStartedError, Reason, SwarmraceError
from swarmrace.host.output import printable
from swarmrace.network import user_namespace
from swarmrace.network.namespaces import permitted_here
from swarmrace.plan import checks, plan
from swarmrace.recording.records import PeerResult, RunResult
from swarmrace.results.folder import load
from swarmrace.systems.doubles import doubles_among


def race_file(
    scenario_file: Path,
    results: Path,
    work_dir: Path | None,
    namespaces: bool | None,
    attempt: int | None,
    *,
    full: bool = False,
) -> int:
    """Race a scenario file: its only cell, or those of its matrix as a sweep.

    Returns, raises: as `race` and `sweep_run.race_here`.
    """
    site = checks.Site(work_dir, results, namespaces)
    scenario = checks.load_here(scenario_file, site, attempt)
    name = printable(scenario_file.stem)
    cells = plan.expand(scenario)
    if len(cells) == 1:
        return race(cells[0], name, site, results, full=full)
    from swarmrace.cli import sweep_run
    from swarmrace.sweep.start import Request, default_folder

    make_console(stderr=True).print(
        f"a matrix of {len(cells)} cells: raced as a sweep, which goes on where it stopped when it "
        "is started again (`swarmrace sweep --help`)",
        soft_wrap=True,
    )
    request = Request(scenario, name, default_folder(results, name, scenario.race.attempt))
    return sweep_run.race_here(request, work_dir, namespaces)


def race(
    cell: plan.Cell, name: str, site: checks.Site, results: Path, *, full: bool = False
) -> int:
    """Race one cell (`swarmrace.sweep` races several).

    Standard output gets the verdict only, `full` or what fits a terminal; standard error all else.

    Args:
        cell: to be raced.
        name: of the race, and of its folder.
        site: where.
        results: the folder below which the results folder is made.
        full: whether to print the whole verdict.

    Returns:
        130 when it was interrupted, otherwise the verdict's exit code, or that of what kept the
        race from its end.

    Raises:
        UnavailableError: nothing was started.
        NeverStartedError: a program failed its trial; nothing was raced.
    """
    console = make_console(stderr=True)
    checks.require_cells([cell], site)
    isolate(site, [cell])
    for line in plan.acceptance_warnings(cell.scenario):
        console.print(f"! {line}", soft_wrap=True)
    local = LocalRace(
        cell.scenario,
        name,
        results,
        site.work_dir,
        site.isolates(cell.scenario),
        doubles_among(cell.scenario.entrants),
    )
    folder = local.folder()

    def print_verdict(folder: Path) -> int:
        from swarmrace.cli import verdict_command

        return verdict_command.show(folder, full=full)

    ended = one(console, local, folder, print_verdict)
    if ended.measured:
        console.print(f"results: {folder}", soft_wrap=True)
    elif folder.exists():
        console.print(f"logs: {folder}", soft_wrap=True)
    if ended.interrupted:
        kept = (
            "what was measured is kept there"
            if ended.measured
            else "nothing was measured yet, and no folder is left"
        )
        console.print(f"interrupted: everything it had started is ended, {kept}", soft_wrap=True)
    return ended.code


def isolate(site: checks.Site, cells: Sequence[plan.Cell]) -> None:
    """Go on as the same command in a user namespace, where a cell needs namespaces and this
    process may not make them."""
    if any(site.isolates(cell.scenario) for cell in cells) and not permitted_here():
        user_namespace.reenter()


@dataclass(frozen=True, slots=True)
class Ended:
    """How one race ended."""

    code: int
    """130 when it was interrupted, otherwise that of the failure or of the verdict."""
    measured: bool
    """Whether it left results."""
    interrupted: bool
    failure: SwarmraceError | None


def one(console: Console, local: LocalRace, folder: Path, report: Callable[[Path], int]) -> Ended:
    """Race one cell into `folder`; leave and report its verdict.

    A folder in which nothing was measured is removed, unless it holds logs of a failure.

    Args:
        console: for progress.
        local: what to race.
        folder: made here.
        report: called with the folder when it holds results; returns the verdict's exit code.

    Raises:
        NeverStartedError: a program failed its trial.
    """
    from swarmrace.cli import verdict_command as command
    from swarmrace.results import manifest

    failure: SwarmraceError | None = None
    interrupted, code = False, int(Exit.OK)
    try:
        with display(console) as shown:
            interrupted = asyncio.run(_race(local, folder, shown.update))
    except NeverStartedError:
        console.print(f"results: {folder}", soft_wrap=True)
        raise
    except SwarmraceError as error:
        failure = error
    measured = (folder / "race.json").exists() and not (interrupted and _only_interrupted(folder))
    if measured:
        try:
            with contextlib.suppress(OSError):  # the verdict can be computed again
                command.leave(folder)
                manifest.extend(folder)
            code = report(folder)
        except SwarmraceError as error:
            failure = failure or error
    if failure is not None:
        _tell(failure)
        code = failure.exit_code
    if not measured:
        _remove(folder, all_of_it=interrupted)
    return Ended(Exit.INTERRUPTED if interrupted else code, measured, interrupted, failure)


def _only_interrupted(folder: Path) -> bool:
    """Whether nothing in a folder is worth keeping: no transfer ended by itself, and no run for
    another reason than the interruption."""
    try:
        found = load(folder)
    except SwarmraceError:
        return False
    outcomes: list[RunResult | PeerResult | None] = [run.result for run in found.runs]
    outcomes += [run.peers[peer] for run in found.runs for peer in run.leechers]
    return not found.faults and all(
        each is None or (each.failure is not None and each.failure.reason is Reason.INTERRUPTED)
        for each in outcomes
    )


def _remove(folder: Path, *, all_of_it: bool) -> None:
    """Remove a folder in which nothing was measured: all of it, or only where it is empty."""
    if all_of_it:
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _tell(error: SwarmraceError) -> None:
    """Say an error as the command line does, without ending anything."""
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().params.get("debug"):
        traceback.print_exception(error)
    click.echo(f"swarmrace: {error}", err=True)


async def _race(local: LocalRace, folder: Path, watch: Callable[[dict[str, Any]], None]) -> bool:
    """Run one race and return whether it was interrupted.

    The first Ctrl-C or SIGTERM ends it in order, a second at once.
    """
    task = asyncio.ensure_future(run(local, folder, watch))
    with _on_signal(task.cancel):
        try:
            await task
        except asyncio.CancelledError:
            return True
    return False


@contextlib.contextmanager
def _on_signal(action: Callable[[], object]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, action)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
