"""Races a cell on this machine and prints the verdict."""

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
from swarmrace.network import user_namespace
from swarmrace.network.namespaces import permitted_here
from swarmrace.plan import checks, plan
from swarmrace.recording.records import PeerResult, RunResult
from swarmrace.rendezvous.live.front import Front, front_on
from swarmrace.results.folder import load
from swarmrace.systems.doubles import doubles_among
from swarmrace.verdict.compute import compute
from swarmrace.verdict.model import Verdict


def race(
    cell: plan.Cell,
    name: str,
    site: checks.Site,
    results: Path,
    *,
    full: bool = False,
    watch_on: tuple[str, int] | None = None,
) -> int:
    """Race one cell (`swarmrace.sweep` races several).

    Only the verdict goes to standard output; everything else goes to standard error.

    Args:
        cell: the cell to race.
        name: name of the race and of its folder.
        site: where to race.
        results: the folder in which the results folder is created.
        full: print the full verdict, not only what fits a terminal.
        watch_on: host and port of the live page; None for no page.

    Returns:
        130 if it was interrupted, otherwise the exit code of the verdict or of the error that
        ended the race early.

    Raises:
        UnavailableError: this machine can't race the cell; nothing was started.
        NeverStartedError: a program failed its trial; nothing was raced.
    """
    console = make_console(stderr=True)
    checks.require_cells([cell], site)
    isolate(site, [cell])
    for line in plan.acceptance_warnings(cell.scenario):
        console.print(f"! {line}", soft_wrap=True)

    def print_verdict(verdict: Verdict) -> None:
        from swarmrace.cli import verdict_command

        verdict_command.print_verdict(verdict, full=full)

    with live_page(console, watch_on) as front:
        local = LocalRace(
            cell.scenario,
            name,
            results,
            site.work_dir,
            site.isolates(cell.scenario),
            doubles_among(cell.scenario.entrants),
            front=front,
        )
        folder = local.folder()
        ended = race_one(console, local, folder, print_verdict)
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
        console.print(f"interrupted: all processes have ended, {kept}", soft_wrap=True)
    return ended.code


def isolate(site: checks.Site, cells: Sequence[plan.Cell]) -> None:
    """Restart this command in a user namespace if a cell needs network namespaces and this process
    isn't permitted to create them."""
    if any(site.isolates(cell.scenario) for cell in cells) and not permitted_here():
        user_namespace.reenter()


@contextlib.contextmanager
def live_page(console: Console, watch_on: tuple[str, int] | None) -> Iterator[Front | None]:
    """Serve the live page inside the context, if an address is given, and print its URL.

    Raises:
        UnavailableError: the address can't be listened on.
    """
    with front_on(watch_on) as front:
        if front is not None:
            console.print(f"live page: {front.url}", soft_wrap=True)
            if front.is_public:
                console.print(
                    f"! everyone who can reach {front.host}:{front.port} can read the live page; "
                    "nothing can be changed there",
                    soft_wrap=True,
                )
        yield front


@dataclass(frozen=True, slots=True)
class EndedRace:
    """How a race ended."""

    code: int
    """130 if it was interrupted, otherwise the exit code of the failure or of the verdict."""
    measured: bool
    """Whether it left results."""
    interrupted: bool
    failure: SwarmraceError | None


def race_one(
    console: Console,
    local: LocalRace,
    folder: Path,
    report: Callable[[Verdict], object] = lambda verdict: None,
) -> EndedRace:
    """Race one cell into `folder`; store and report its verdict.

    A folder without measurements is removed, unless it holds logs of a failure.

    Args:
        console: for progress.
        local: what to race.
        folder: created here.
        report: called with the verdict if there are results.

    Raises:
        NeverStartedError: a program failed its trial.
    """
    from swarmrace.cli import verdict_command as command

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
            verdict = compute(load(folder))
            with contextlib.suppress(OSError):  # the verdict can be computed again
                command.store(folder, verdict)
            code = int(verdict.exit)
            report(verdict)
        except SwarmraceError as error:
            failure = failure or error
    if failure is not None:
        _print_error(failure)
        code = failure.exit_code
    if not measured:
        _remove(folder, with_content=interrupted)
    return EndedRace(Exit.INTERRUPTED if interrupted else code, measured, interrupted, failure)


def _only_interrupted(folder: Path) -> bool:
    """Return whether a folder holds nothing worth keeping: every record is of the interruption."""
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


def _remove(folder: Path, *, with_content: bool) -> None:
    """Remove a folder without measurements: with its content, or only if it is empty."""
    if with_content:
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _print_error(error: SwarmraceError) -> None:
    """Print an error as the command line does, without exiting."""
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().params.get("debug"):
        traceback.print_exception(error)
    click.echo(f"swarmrace: {error}", err=True)


async def _race(local: LocalRace, folder: Path, watch: Callable[[dict[str, Any]], None]) -> bool:
    """Run one race; return whether it was interrupted.

    The first Ctrl-C or SIGTERM ends the race cleanly, a second one at once.
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
