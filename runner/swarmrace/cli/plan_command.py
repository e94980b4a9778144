"""`swarmrace plan`: its options, and which plan they ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swarmrace.cli.parameters import NewFolder, format_option
from swarmrace.cli.pod_options import SCENARIO_FILE

if TYPE_CHECKING:
    from swarmrace.sweep.order import Order


@click.command()
@click.argument("scenarios", metavar="SCENARIO...", nargs=-1, required=True, type=SCENARIO_FILE)
@format_option(
    "Output format: for people, for programs, or the list of cells for the chart app-of-apps.",
    ("text", "json", "argocd"),
)
@click.option(
    "--write",
    type=NewFolder(),
    help="Only write each cell as a scenario file to this folder, for `run` or `helm install -f`.",
)
@click.option(
    "--missing",
    type=click.Path(file_okay=False, path_type=Path),
    help="Only list the cells that the sweep in this folder still has to race: ids and axes.",
)
@click.option(
    "--order",
    type=click.Choice(["shuffled", "cheapest-first"]),
    default="shuffled",
    show_default=True,
    help="With --missing: the order of a sweep that hasn't begun.",
)
@click.option(
    "--pilot",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Only estimate how many blocks each acceptance needs, from the blocks in this results or "
    "sweep folder.",
)
def plan(
    scenarios: tuple[Path, ...],
    format_: str,
    write: Path | None,
    missing: Path | None,
    order: Order,
    pilot: Path | None,
) -> None:
    """Show what SCENARIO needs: cells, bytes, disk, memory, pods, expected time.

    Only --format argocd accepts several scenarios, each a sweep.
    """
    scenario, *others = scenarios
    if others and (format_ != "argocd" or missing is not None):
        raise click.UsageError(
            f"found {len(scenarios)} scenarios, expected one; several need --format argocd without "
            "--missing"
        )
    if format_ == "argocd":
        if write is not None or pilot is not None:
            raise click.UsageError(
                "--format argocd: found --write or --pilot too, expected only one of them"
            )
        from swarmrace.sweep import applications

        click.echo(applications.listing(scenarios, missing), nl=False)
        return
    if pilot is not None:
        from swarmrace.plan.checks import load
        from swarmrace.sweep.pilot import needs

        for line in needs(load(scenario), pilot):
            click.echo(line)
        return
    if missing is not None:
        _list_missing(scenario, missing, order, as_json=format_ == "json")
        return
    if write is not None:
        from swarmrace.backends.kubernetes import cell_files

        for file in cell_files.write(scenario, write):
            click.echo(file)
        return
    from swarmrace.cli.display import make_console
    from swarmrace.plan import checks
    from swarmrace.plan import plan as planning

    loaded = checks.load(scenario)
    planned = planning.plan(
        loaded, lacking=checks.lacks(loaded, checks.Site(results=Path("results")))
    )
    if format_ == "json":
        click.echo(json.dumps(planned.model_dump(mode="json"), indent=2))
    else:
        make_console().print(planning.render(planned))


def _list_missing(scenario: Path, folder: Path, order: Order, *, as_json: bool) -> None:
    from swarmrace.plan.checks import load
    from swarmrace.sweep import missing

    loaded = load(scenario)
    if as_json:
        click.echo(json.dumps(missing.missing_axes(loaded, folder, order)))
        return
    for cell in missing.missing_cells(loaded, folder, order):
        click.echo(f"{cell.scenario.cell_id()}  {cell.name}")
