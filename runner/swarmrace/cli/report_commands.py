"""Commands that make something of results: tables for others."""

from __future__ import annotations

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
