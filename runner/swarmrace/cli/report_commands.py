"""The commands `export`, `report` and `compare`, which read results."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from swarmrace.cli.parameters import format_option

_FOLDERS = click.argument(
    "folders",
    nargs=-1,
    required=True,
    metavar="FOLDER...",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)


@click.command()
@_FOLDERS
@format_option(
    "Tables (csv, parquet); Bencher's JSON (bmf); Go's benchmark lines, for benchstat.",
    ("csv", "parquet", "bmf", "benchfmt"),
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for tables, file for bmf and benchfmt.  [default: export, or standard output]",
)
def export(folders: tuple[Path, ...], format_: str, output: Path | None) -> None:
    """Export the results in each FOLDER to pandas, R, DuckDB, Excel, Bencher or benchstat.

    A FOLDER is a results folder, or holds some (a sweep).
    """
    from swarmrace.export import command

    text = command.export(folders, format_, output, lambda line: click.echo(line, err=True))
    click.echo(text)


@click.command()
@_FOLDERS
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Folder to write the report to.",
)
@click.option(
    "--accept",
    multiple=True,
    metavar="BOUND",
    help="Acceptance to judge by, instead of the scenario's: furps, issue895, equivalent, a "
    "number, or ENTRANT:BOUND:OF.",
)
@click.option("--title", default="", help="Title of the page.  [default: the entrants and cells]")
@click.option("--curves", is_flag=True, help="Also check every mark against its curve.")
@click.option("--summary", is_flag=True, help="Only print a short form, for a comment.")
def report(
    folders: tuple[Path, ...],
    output: Path,
    accept: tuple[str, ...],
    title: str,
    curves: bool,
    summary: bool,
) -> None:
    """Write a report on the results in each FOLDER: one race, several, or a sweep.

    The report is report.html, a single file; report.md with cells/ and figures/; and the exported
    tables in data/.
    """
    from swarmrace.report import command

    text = command.report(
        folders,
        output,
        accept=accept,
        title=title,
        curves=curves,
        summary=summary,
        warn=lambda line: click.echo(line, err=True),
    )
    click.echo(text)


@click.command()
@click.argument("old", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--entrant", help="Entrant to compare.  [default: the headline's first]")
@click.option(
    "--baseline", help="Entrant that serves as baseline.  [default: the headline's second]"
)
@click.option("--across-machines", is_flag=True, help="Compare races of different machines.")
def compare(
    old: Path, new: Path, entrant: str | None, baseline: str | None, across_machines: bool
) -> None:
    """Compare NEW with OLD, two races or sweeps of one scenario.

    If both have the same baseline in the same version, the ratio of ratios decides. The exit code
    is 5 if a cell is slower, 6 if nothing can be decided, 0 otherwise. Raw times decide nothing.
    """
    from swarmrace.report import comparing

    text, code = comparing.compare(
        [old], [new], entrant=entrant, baseline=baseline, across_machines=across_machines
    )
    click.echo(text)
    sys.exit(code)
