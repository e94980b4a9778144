"""`swarmrace run`: races a scenario file, a matrix as a sweep."""

from __future__ import annotations

from pathlib import Path

from swarmrace.cli import run_command, sweep_run
from swarmrace.cli.display import make_console
from swarmrace.host.output import printable
from swarmrace.plan import checks, plan
from swarmrace.sweep.start import Request, default_folder


def run_file(
    scenario_file: Path,
    results: Path,
    work_dir: Path | None,
    namespaces: bool | None,
    attempt: int | None,
    *,
    full: bool = False,
    watch_on: tuple[str, int] | None = None,
) -> int:
    """Race a scenario file: its only cell, or all cells of its matrix as a sweep.

    Returns and raises as `run_command.race` and `sweep_run.race_here`.
    """
    site = checks.Site(work_dir, results, namespaces)
    scenario = checks.load_here(scenario_file, site, attempt)
    name = printable(scenario_file.stem)
    cells = plan.expand(scenario)
    if len(cells) == 1:
        return run_command.race(cells[0], name, site, results, full=full, watch_on=watch_on)
    make_console(stderr=True).print(
        f"a matrix of {len(cells)} cells: raced as a sweep, which resumes when it is started again "
        "(`swarmrace sweep --help`)",
        soft_wrap=True,
    )
    request = Request(scenario, name, default_folder(results, name, scenario.race.attempt))
    return sweep_run.race_here(request, work_dir, namespaces, watch_on)
