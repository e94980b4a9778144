"""`swarmrace run`: check, race, print the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from swarmrace import checks, plan
from swarmrace.display import display, make_console
from swarmrace.errors import Exit, SwarmraceError
from swarmrace.local.backend import LocalRace, run
from swarmrace.scenario import Scenario, load


def race(
    scenario_file: Path,
    results: Path,
    work_dir: Path | None,
    namespaces: bool | None,
    attempt: int | None,
) -> int:
    """Race every cell of a scenario file; return the exit code: the first that is not 0."""
    console = make_console()
    scenario = load(scenario_file)
    if attempt is not None:
        scenario = _with_attempt(scenario, attempt)
    cells = plan.expand(scenario)
    races = []
    for cell in cells:
        wanted = cell.scenario.race.network.shaped if namespaces is None else namespaces
        checks.require(cell.scenario, work_dir=work_dir, namespaces=wanted)
        name = scenario_file.stem + (f"-{cell.name}" if len(cells) > 1 else "")
        races.append(LocalRace(cell.scenario, name, results, work_dir, wanted))
    codes = []
    for local in races:
        codes.append(_cell(console, local))
        if codes[-1] == Exit.INTERRUPTED:
            break
    return next((code for code in codes if code), Exit.OK)


def _cell(console: Console, local: LocalRace) -> int:
    from swarmrace.verdict import command

    folder = local.folder()
    with display(console) as shown:
        try:
            interrupted = asyncio.run(_race(local, folder, shown.update))
        except SwarmraceError:
            console.print(f"what was measured is kept in {folder}", soft_wrap=True)
            raise
    code = command.show(folder, console=console)
    console.print(f"results: {folder}", soft_wrap=True)
    if interrupted:
        console.print(
            "interrupted: everything it had started is ended, what was measured is kept there",
            soft_wrap=True,
        )
        return Exit.INTERRUPTED
    return code


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


def _with_attempt(scenario: Scenario, attempt: int) -> Scenario:
    race = scenario.race.model_copy(update={"attempt": attempt})
    shared = scenario.global_.model_copy(update={"race": race})
    return scenario.model_copy(update={"global_": shared})
