"""`swarmrace show` and the end of `swarmrace run`: print a folder's verdict."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from swarmrace import atomic
from swarmrace.cli.display import make_console
from swarmrace.errors import ResultsError
from swarmrace.results import folder as results
from swarmrace.verdict import render, short
from swarmrace.verdict.compute import compute
from swarmrace.verdict.model import Verdict


def show(
    folder: Path,
    *,
    full: bool = True,
    as_json: bool = False,
    svg: Path | None = None,
    console: Console | None = None,
) -> int:
    """Print the verdict of the results in `folder`, computed from its records.

    Nothing is written into the folder: `leave` does that at the end of a race.

    Args:
        folder: a results folder.
        full: print all of it, or only what fits a terminal.
        as_json: print the JSON instead of the page.
        svg: write the page as a picture too.
        console: where to print; standard output, 100 columns wide when not a terminal, by default.

    Returns:
        the exit code the verdict calls for (`Verdict.exit`).

    Raises:
        ResultsError: the folder can't be read, or the picture can't be written.
    """
    verdict = compute(results.load(folder))
    if svg is not None:
        try:
            atomic.write_bytes(svg, render.svg(verdict).encode())
        except OSError as error:
            raise ResultsError(f"{svg}: can't be written: {error.strerror}") from error
    if as_json:
        sys.stdout.write(to_json(verdict))
    else:
        if console is None:
            console = make_console()
        (render if full else short).show(verdict, console)
    return int(verdict.exit)


def leave(folder: Path) -> None:
    """Leave the verdict in `folder` as `verdict.json` and `verdict.txt`, each whole or not at all.

    Raises:
        ResultsError: the folder can't be read.
        OSError: the folder can't be written.
    """
    verdict = compute(results.load(folder))
    atomic.write_bytes(folder / "verdict.json", to_json(verdict).encode())
    atomic.write_bytes(folder / "verdict.txt", render.text(verdict).encode())


def to_json(verdict: Verdict) -> str:
    """Return the verdict as JSON, keys in camelCase."""
    return verdict.model_dump_json(indent=2) + "\n"
