"""The command line. Exit codes are `swarmrace.errors.Exit`; docs/cli.md lists them.

Modules are imported in the commands that use them, so that each command starts fast.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import click

from swarmrace import __version__
from swarmrace.cli import (
    begin_command,
    judge_commands,
    judging_command,
    plan_command,
    pod_commands,
    report_commands,
    sweep_command,
    system_command,
)
from swarmrace.cli.command_group import Commands
from swarmrace.cli.parameters import (
    NewFolder,
    RaceId,
    format_option,
    namespaces_option,
    watch_options,
    work_dir_option,
)
from swarmrace.cli.pod_options import SCENARIO_FILE
from swarmrace.errors import Exit

_format_option = format_option("Output format: for people or for programs.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(debug: bool) -> None:
    """Race Codex (Logos Storage) against BitTorrent, byte by byte."""
    if os.getpid() == 1:
        # A container's first process ignores every signal for which it has no handler.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def _print_explanation(ctx: click.Context, _: click.Parameter, word: str | None) -> None:
    if word is None or ctx.resilient_parsing:
        return
    from swarmrace.verdict.explain import explain

    try:
        click.echo(explain(word))
    except KeyError as error:
        raise click.BadParameter(error.args[0], param_hint="--explain") from error
    ctx.exit()


_full = click.option(
    "--full", is_flag=True, help="Print the full verdict: all figures, runs and settings."
)
_explain = click.option(
    "--explain",
    metavar="WORD",
    is_eager=True,
    expose_value=False,
    callback=_print_explanation,
    help="Only explain a word of the verdict.",
)


@main.command()
@click.argument("scenario", type=SCENARIO_FILE)
@click.option(
    "--results",
    type=NewFolder(),
    default=Path("results"),
    show_default=True,
    help="Folder in which the results folder is created.",
)
@work_dir_option
@namespaces_option
@click.option("--attempt", type=click.IntRange(1), help="Override the scenario's attempt.")
@watch_options
@_full
@_explain
def run(
    scenario: Path,
    results: Path,
    work_dir: Path | None,
    namespaces: bool | None,
    attempt: int | None,
    watch_on: tuple[str, int] | None,
    full: bool,
) -> None:
    """Race SCENARIO on this machine and print the verdict. Progress goes to standard error.

    A matrix is raced as by `swarmrace sweep`. Ctrl-C ends the race and keeps what was measured.
    """
    from swarmrace.cli.run_file import run_file

    sys.exit(
        run_file(scenario, results, work_dir, namespaces, attempt, full=full, watch_on=watch_on)
    )


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_format_option
@click.option(
    "--svg", type=click.Path(dir_okay=False, path_type=Path), help="Also write a picture."
)
@_full
@_explain
def show(folder: Path, format_: str, svg: Path | None, full: bool) -> None:
    """Print the verdict on the results in FOLDER again. Nothing is written to it."""
    from swarmrace.cli import verdict_command as command
    from swarmrace.integrity.verify import require

    require(folder)
    sys.exit(command.show(folder, full=full, as_json=format_ == "json", svg=svg))


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def verify(folder: Path) -> None:
    """Check that FOLDER is unchanged since its race: hashes of all files, marks against curves."""
    from swarmrace.integrity import verify as checking

    report = checking.verify(folder)
    for line in report.lines():
        click.echo(line)
    sys.exit(Exit.OK if report.sound else Exit.RESULTS)


@main.command()
@click.option(
    "--chart",
    help="Print the values schema of a chart (`swarmrace`, `tracker`…) instead.",
)
@click.option(
    "--write",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Write values.schema.json of every chart below this folder.",
)
@click.option(
    "--check", is_flag=True, help="With --write: write nothing, fail if a file would change."
)
def schema(chart: str | None, write: Path | None, check: bool) -> None:
    """Print the JSON Schema of a scenario file."""
    from swarmrace.scenario import schema as schemas

    if check and write is None:
        raise click.UsageError("--check needs --write with the charts' folder")
    charts = (schemas.UMBRELLA, *schemas.CHART_VALUES)
    if chart not in (None, *charts):
        wanted = f"expected one of {', '.join(charts)}"
        raise click.BadParameter(f"found {chart!r}, {wanted}", param_hint="--chart")
    if write is None:
        click.echo(
            json.dumps(
                schemas.chart_schema(chart) if chart else schemas.scenario_schema(), indent=2
            )
        )
        return
    from swarmrace.backends.kubernetes import chart_files

    changed = chart_files.write(write, check=check)
    for path in changed:
        click.echo(f"{path}: {'differs from the model' if check else 'written'}")
    sys.exit(Exit.UNEXPECTED if check and changed else Exit.OK)


@main.command()
@click.option("--fix", is_flag=True, help="Remove what killed races left behind.")
@_format_option
def doctor(fix: bool, format_: str) -> None:
    """Check what this machine can and can't do, and how to fix it."""
    from swarmrace.cli import doctor as doctors

    rows = doctors.examine(fix=fix)
    if format_ == "json":
        click.echo(json.dumps([row.model_dump(mode="json") for row in rows], indent=2))
    else:
        from swarmrace.cli.display import make_console

        make_console().print(doctors.render(rows))
    sys.exit(Exit.UNAVAILABLE if any(row.state == "missing" for row in rows) else Exit.OK)


@main.command()
@click.argument("release", required=False)
@click.option("-n", "--namespace", help="Kubernetes namespace.  [default: the context's]")
@click.option("--context", "context_", help="kubeconfig context.  [default: the current one]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to create.  [default: results/RELEASE-RACEID]",
)
@click.option(
    "--race-id",
    type=RaceId(),
    help="An earlier race of the release.  [default: the current one]",
)
@click.option("--list", "list_", is_flag=True, help="Only list the races that it still holds.")
@click.option("--sweep", help="Fetch the folder of the sweep with this name instead.")
@click.option("--claim", help="With --sweep: the claim that holds it.  [default: the only one]")
@click.option("--image", help="With --sweep: the image that reads it.  [default: the claim's]")
def fetch(
    release: str | None,
    namespace: str | None,
    context_: str | None,
    output: Path | None,
    race_id: str | None,
    list_: bool,
    sweep: str | None,
    claim: str | None,
    image: str | None,
) -> None:
    """Fetch the results folder of a Helm RELEASE, or a sweep's folder (needs kubectl)."""
    from swarmrace.backends.kubernetes import fetch as fetching
    from swarmrace.units import format_size

    if (release is None) == (sweep is None):
        raise click.UsageError("expected either a RELEASE or --sweep NAME")
    if sweep is not None:
        from swarmrace.backends.kubernetes.claim import fetch_sweep
        from swarmrace.backends.kubernetes.tools import Tools

        target = output or Path("results") / sweep
        tools = Tools(namespace, context_, lambda line: click.echo(line, err=True), helm=False)
        fetch_sweep(tools, sweep, target, claim, image)
        click.echo(target)
        return
    assert release is not None

    cluster = fetching.Cluster(release, namespace, context_)
    if list_:
        for race in cluster.races():
            size = format_size(race["sizeBytes"])
            hash_ = race.get("releaseHash") or "-"
            click.echo(
                f"{race['raceId']}  {hash_:<10}  {race['status']:<11}  {race['createdUtc']}  {size}"
            )
        return
    folder = cluster.fetch(output, race_id)
    if warning := fetching.unfinished(folder):
        click.echo(f"swarmrace: {warning}", err=True)
    click.echo(folder)


for _command in (
    report_commands.export,
    report_commands.report,
    report_commands.compare,
    pod_commands.peer,
    pod_commands.tracker,
    judging_command.verdict,
    pod_commands.shape,
    pod_commands.archive,
    plan_command.plan,
    sweep_command.sweep,
    begin_command.begin,
    judge_commands.judge,
    judge_commands.answers,
    system_command.system,
):
    main.add_command(_command)

if __name__ == "__main__":
    main()
