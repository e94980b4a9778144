"""The command line. Exit codes are `swarmrace.errors.Exit`; docs/cli.md lists them.

Modules are imported where they are used: every peer of a local race passes through this file.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from swarmrace import __version__
from swarmrace.cli import judge_commands, pod_commands, report_commands, sweep_command
from swarmrace.cli.parameters import NewFolder, RaceId, namespaces_option, work_dir_option
from swarmrace.cli.pod_options import SCENARIO_FILE
from swarmrace.errors import Exit, OutputError, SwarmraceError
from swarmrace.host import infrastructure, output

_FORMAT = click.Choice(["text", "json"])
OF_THE_MACHINE = frozenset(
    {
        *infrastructure.FULL,
        *infrastructure.BROKEN,
        *infrastructure.SCARCE,
        *(errno.EACCES, errno.EPERM),
        *(errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
    }
)
"""Error numbers of what the machine refuses: no defect of swarmrace, wherever it comes up."""


class _Commands(click.Group):
    """Turns errors into one line and an exit code; a traceback appears only with --debug."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        output.prepare()
        try:
            made = super().make_context(*args, **kwargs)  # which prints --help
            sys.stdout.flush()
            return made
        except OutputError as error:
            click.echo(f"swarmrace: {error}", err=True)
            raise click.exceptions.Exit(error.exit_code) from None
        except BrokenPipeError:
            if _reader_has_gone():
                raise click.exceptions.Exit(Exit.READER_GONE) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except SwarmraceError as error:
            if ctx.params.get("debug"):
                traceback.print_exception(error)
            click.echo(f"swarmrace: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("swarmrace: interrupted", err=True)
            ctx.exit(Exit.INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _reader_has_gone():
                ctx.exit(Exit.READER_GONE)
            if ctx.params.get("debug"):
                traceback.print_exception(error)
            if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
                where = f"{output.printable(str(error.filename))}: " if error.filename else ""
                click.echo(f"swarmrace: {where}{error.strerror}", err=True)
                ctx.exit(Exit.UNAVAILABLE)
            click.echo(
                f"swarmrace: {type(error).__name__}: {error} (a defect: please report it with the "
                "output of --debug)",
                err=True,
            )
            ctx.exit(Exit.UNEXPECTED)


def _reader_has_gone() -> bool:
    """Return whether nobody reads standard output any more (`| head`); if so, close it quietly."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        return False
    asked = select.poll()
    asked.register(number, select.POLLOUT)
    gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in asked.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return gone


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(debug: bool) -> None:
    """Race Codex (Logos Storage) against BitTorrent, byte by byte."""
    if os.getpid() == 1:
        # A container's first process is left alone by every signal it has no handler for.
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
    "--full", is_flag=True, help="Print all of the verdict: figures, runs, settings."
)
_explain = click.option(
    "--explain",
    metavar="WORD",
    is_eager=True,
    expose_value=False,
    callback=_print_explanation,
    help="Only print what a word of the verdict means.",
)


@main.command()
@click.argument("scenario", type=SCENARIO_FILE)
@click.option(
    "--results",
    type=NewFolder(),
    default=Path("results"),
    show_default=True,
    help="Folder below which the results folder is made.",
)
@work_dir_option
@namespaces_option
@click.option("--attempt", type=click.IntRange(1), help="Override the scenario's attempt.")
@_full
@_explain
def run(
    scenario: Path,
    results: Path,
    work_dir: Path | None,
    namespaces: bool | None,
    attempt: int | None,
    full: bool,
) -> None:
    """Race SCENARIO on this machine and print the verdict; progress goes to standard error.

    A matrix is raced as `swarmrace sweep` does. Ctrl-C ends the race and keeps what was measured.
    """
    from swarmrace.cli import run_command

    sys.exit(run_command.race_file(scenario, results, work_dir, namespaces, attempt, full=full))


@main.command()
@click.argument("scenario", type=SCENARIO_FILE)
@click.option("--format", "format_", type=_FORMAT, default="text", show_default=True)
@click.option(
    "--write",
    type=NewFolder(),
    help="Only write each cell as a scenario file of its own into this folder: for `run`, or for "
    "`helm install -f`.",
)
@click.option(
    "--missing",
    type=click.Path(file_okay=False, path_type=Path),
    help="Only list the cells that the sweep in this folder still has to race, by id and axes.",
)
@click.option(
    "--pilot",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Only say how many blocks each acceptance will need, by the blocks in this results or "
    "sweep folder.",
)
def plan(
    scenario: Path, format_: str, write: Path | None, missing: Path | None, pilot: Path | None
) -> None:
    """Show what SCENARIO would take: cells, bytes, disk, memory, pods, expected time."""
    if pilot is not None:
        from swarmrace.plan.checks import load
        from swarmrace.sweep.pilot import needs

        for line in needs(load(scenario), pilot):
            click.echo(line)
        return
    if missing is not None:
        _list_missing(scenario, missing, as_json=format_ == "json")
        return
    if write is not None:
        from swarmrace.backends.kubernetes import cell_files

        for file in cell_files.write(scenario, write):
            click.echo(file)
        return
    from swarmrace.plan import checks
    from swarmrace.plan import plan as planning

    loaded = checks.load(scenario)
    planned = planning.plan(
        loaded, lacking=checks.lacks(loaded, checks.Site(results=Path("results")))
    )
    if format_ == "json":
        click.echo(json.dumps(planned.model_dump(mode="json"), indent=2))
    else:
        _console().print(planning.render(planned))


def _list_missing(scenario: Path, folder: Path, *, as_json: bool) -> None:
    from swarmrace.plan.checks import load
    from swarmrace.sweep import missing

    loaded = load(scenario)
    if as_json:
        click.echo(json.dumps(missing.listed(loaded, folder)))
        return
    for cell in missing.missing(loaded, folder):
        click.echo(f"{cell.scenario.cell_id()}  {cell.name}")


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--format", "format_", type=_FORMAT, default="text", show_default=True)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture too.")
@_full
@_explain
def show(folder: Path, format_: str, svg: Path | None, full: bool) -> None:
    """Print the verdict of the results in FOLDER again. Nothing is written into it."""
    from swarmrace.cli import verdict_command as command
    from swarmrace.integrity.verify import require

    require(folder)
    sys.exit(command.show(folder, full=full, as_json=format_ == "json", svg=svg))


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def verify(folder: Path) -> None:
    """Say whether FOLDER is what its race left: hashes of all files, marks against curves."""
    from swarmrace.integrity import verify as checking

    report = checking.verify(folder)
    for line in report.lines():
        click.echo(line)
    sys.exit(Exit.OK if report.sound else Exit.RESULTS)


@main.command()
@click.option(
    "--chart",
    help="Print the values schema of one chart instead (`swarmrace`, `tracker`…).",
)
@click.option(
    "--write",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Write values.schema.json of every chart below this folder.",
)
@click.option("--check", is_flag=True, help="With --write: change nothing, fail on drift.")
def schema(chart: str | None, write: Path | None, check: bool) -> None:
    """Print the JSON Schema of a scenario file."""
    from swarmrace.scenario import schema as schemas

    if check and write is None:
        raise click.UsageError("--check needs --write and the folder of the charts")
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
@click.option("--format", "format_", type=_FORMAT, default="text", show_default=True)
def doctor(fix: bool, format_: str) -> None:
    """Say what this machine can and can't do, and how to mend it."""
    from swarmrace.cli import doctor as doctors

    rows = doctors.examine(fix=fix)
    if format_ == "json":
        click.echo(json.dumps([row.model_dump(mode="json") for row in rows], indent=2))
    else:
        _console().print(doctors.render(rows))
    sys.exit(Exit.UNAVAILABLE if any(row.state == "missing" for row in rows) else Exit.OK)


@main.command()
@click.argument("release", required=False)
@click.option("-n", "--namespace", help="Kubernetes namespace.  [default: the context's]")
@click.option("--context", "context_", help="kubeconfig context.  [default: the current one]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to make.  [default: results/RELEASE-RACEID]",
)
@click.option(
    "--race-id",
    type=RaceId(),
    help="An earlier race of the release.  [default: the present one]",
)
@click.option("--list", "list_", is_flag=True, help="Only list the races that it still holds.")
@click.option("--sweep", help="Bring the folder of a sweep by this name instead.")
@click.option("--claim", help="With --sweep: the claim that holds it.  [default: the only one]")
@click.option("--image", help="With --sweep: an image that can read it.  [default: the claim's]")
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
    """Bring the results folder of a Helm RELEASE, or a sweep's, here (needs kubectl)."""
    from swarmrace.backends.kubernetes import fetch as fetching
    from swarmrace.units import format_size

    if (release is None) == (sweep is None):
        raise click.UsageError("give a RELEASE, or --sweep NAME")
    if sweep is not None:
        from swarmrace.backends.kubernetes.claim import fetch_sweep
        from swarmrace.backends.kubernetes.tools import Tools

        where = output or Path("results") / sweep
        tools = Tools(namespace, context_, lambda line: click.echo(line, err=True), helm=False)
        fetch_sweep(tools, sweep, where, claim, image)
        click.echo(where)
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


def _console() -> Any:
    from swarmrace.cli.display import make_console

    return make_console()


for _command in (
    report_commands.export,
    report_commands.report,
    report_commands.compare,
    pod_commands.peer,
    pod_commands.tracker,
    pod_commands.verdict,
    pod_commands.shape,
    pod_commands.archive,
    sweep_command.sweep,
    judge_commands.judge,
    judge_commands.answers,
):
    main.add_command(_command)

if __name__ == "__main__":
    main()
