"""`swarmrace run`: check, race, print the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from swarmrace.backends.local.backend import LocalRace, run
from swarmrace.cli.display import display, make_console
from swarmrace.errors import Exit, NeverStartedError, Reason, SwarmraceError
from swarmrace.host.output import printable
from swarmrace.network import user_namespace
from swarmrace.network.namespaces import permitted_here
from swarmrace.plan import checks, plan
from swarmrace.recording.records import Trial
from swarmrace.results.folder import load
from swarmrace.systems.doubles import doubles_among


def race(
    scenario_file: Path,
    results: Path,
    work_dir: Path | None,
    namespaces: bool | None,
    attempt: int | None,
    *,
    full: bool = False,
) -> int:
    """Race every cell of a scenario file.

    Standard output gets the verdict only, `full` or what fits a terminal; standard error all else.

    Returns:
        130 when it was interrupted, otherwise the first cell's exit code that is not 0. A cell that
        could not be raced to its end is noted, and the others are raced, unless the infrastructure
        stopped it: then the next one can't be raced either (11).

    Raises:
        ScenarioError, UnavailableError: nothing was started.
        NeverStartedError: a program failed its trial; no further cell is raced with it.
    """
    console = make_console(stderr=True)
    site = checks.Site(work_dir, results, namespaces)
    cells = checks.cells(scenario_file, site, attempt)
    if any(site.isolates(cell.scenario) for cell in cells) and not permitted_here():
        user_namespace.reenter()
    for line in plan.acceptance_warnings(cells[0].scenario):
        console.print(f"! {line}", soft_wrap=True)
    codes, trials = [], dict[str, Trial]()
    for cell in cells:
        cell_name = f"-{cell.name}" if len(cells) > 1 else ""
        name = printable(scenario_file.stem) + cell_name
        isolated = site.isolates(cell.scenario)
        played = doubles_among(cell.scenario.entrants)
        local = LocalRace(cell.scenario, name, results, work_dir, isolated, played, trials)
        codes.append(_cell(console, local, full=full))
        if codes[-1] == Exit.INTERRUPTED:
            return Exit.INTERRUPTED
        if codes[-1] == Exit.INFRASTRUCTURE:
            break
    return next((code for code in codes if code), Exit.OK)


def _cell(console: Console, local: LocalRace, *, full: bool) -> int:
    """Race one cell and print its verdict, or why it has none; return the exit code."""
    from swarmrace.cli import verdict_command as command
    from swarmrace.results import manifest

    folder, failure, interrupted, code = local.folder(), None, False, Exit.OK
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
            code = command.show(folder, full=full)
        except SwarmraceError as error:
            failure = failure or error
    if failure is not None:
        _tell(failure)
        code = failure.exit_code
    if measured:
        console.print(f"results: {folder}", soft_wrap=True)
    elif not _removed(folder, all_of_it=interrupted):
        console.print(f"logs: {folder}", soft_wrap=True)
    if interrupted:
        kept = (
            "what was measured is kept there"
            if measured
            else "nothing was measured yet, and no folder is left"
        )
        console.print(f"interrupted: everything it had started is ended, {kept}", soft_wrap=True)
        return Exit.INTERRUPTED
    return code


def _only_interrupted(folder: Path) -> bool:
    """Whether nothing in a folder is worth keeping: no transfer ended by itself, and no run for
    another reason than the interruption."""
    try:
        found = load(folder)
    except SwarmraceError:
        return False
    outcomes = [run.result for run in found.runs]
    outcomes += [run.peers[peer] for run in found.runs for peer in run.leechers]
    return not found.faults and all(
        each is None or (each.failure is not None and each.failure.reason is Reason.INTERRUPTED)
        for each in outcomes
    )


def _removed(folder: Path, *, all_of_it: bool) -> bool:
    """Remove a folder in which nothing was measured; return whether it is gone."""
    if all_of_it:
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()


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
