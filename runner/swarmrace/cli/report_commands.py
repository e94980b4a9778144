"""Commands that make something of results: tables for others, reports, comparisons."""

from __future__ import annotations

import sys
from pathlib import Path

import click

_FOLDERS = click.argument(
    "folders",
    nargs=-1,
    required=True,
    metavar="FOLDER...",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)


@click.command()
@_FOLDERS
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "parquet", "bmf", "benchfmt"]),
    default="csv",
    show_default=True,
    help="Tables (csv, parquet); Bencher's JSON (bmf); Go's benchmark lines, for benchstat.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the tables, or file of the rest.  [default: export, or standard output]",
)
def export(folders: tuple[Path, ...], format_: str, output: Path | None) -> None:
    """Write the results in each FOLDER for pandas, R, DuckDB, Excel, Bencher or benchstat.

    A FOLDER is a results folder, or holds some, as a sweep's does.
    """
    from swarmrace.export import command

    told = command.export(folders, format_, output, lambda line: click.echo(line, err=True))
    click.echo(told)


@click.command()
@_FOLDERS
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Folder to write the report into.",
)
@click.option(
    "--accept",
    multiple=True,
    metavar="BOUND",
    help="Judge by this instead of the scenario's: furps, issue895, equivalent, a number, or "
    "ENTRANT:BOUND:OF.",
)
@click.option("--title", default="", help="Of the page.  [default: the entrants and cells]")
@click.option("--curves", is_flag=True, help="Hold every mark against its curve, too.")
@click.option("--summary", is_flag=True, help="Only print the short form, for a comment.")
def report(
    folders: tuple[Path, ...],
    output: Path,
    accept: tuple[str, ...],
    title: str,
    curves: bool,
    summary: bool,
) -> None:
    """Write the report of the results in each FOLDER: one race, several, or a sweep.

    It is report.html, one file; report.md with cells/ and figures/; and data/ for others.
    """
    from swarmrace.report import command

    told = command.report(
        folders,
        output,
        accept=accept,
        title=title,
        curves=curves,
        summary=summary,
        tell=lambda line: click.echo(line, err=True),
    )
    click.echo(told)


@click.command()
@click.argument("old", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--entrant", help="Whose change is asked for.  [default: the headline's first]")
@click.option("--baseline", help="What both are set against.  [default: the headline's second]")
@click.option("--across-machines", is_flag=True, help="Compare races of different machines.")
def compare(
    old: Path, new: Path, entrant: str | None, baseline: str | None, across_machines: bool
) -> None:
    """Say what changed from OLD to NEW: races, or sweeps, of one scenario.

    Where both hold the same baseline at the same version, the ratio of ratios decides: 5 where it
    shows a cell to be slower, 6 where nothing can be decided, 0 otherwise. Raw times decide
    nothing.
    """
    from swarmrace.report import comparing

    text, code = comparing.compare(
        [old], [new], entrant=entrant, baseline=baseline, across_machines=across_machines
    )
    click.echo(text)
    sys.exit(code)
