"""Prints and stores a folder's verdict, for `swarmrace show` and the end of a race."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from swarmrace import atomic
from swarmrace.cli.display import make_console
from swarmrace.errors import ResultsError
from swarmrace.results import folder as results
from swarmrace.results import manifest
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
    """Print the verdict on the results in `folder`, computed from its records.

    Nothing is written to the folder; `store` does that at the end of a race.

    Args:
        folder: a results folder.
        full: print the full verdict, or only what fits a terminal.
        as_json: print JSON instead of text.
        svg: also write the text as a picture to this file.
        console: where to print; None for standard output, 100 columns wide if it isn't a terminal.

    Returns:
        the verdict's exit code (`Verdict.exit`).

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
        print_verdict(verdict, full=full, console=console)
    return int(verdict.exit)


def print_verdict(verdict: Verdict, *, full: bool, console: Console | None = None) -> None:
    """Print a verdict, as `show` does."""
    (render if full else short).show(verdict, console or make_console())


def store(folder: Path, verdict: Verdict | None = None) -> None:
    """Write the verdict to `folder` as `verdict.json` and `verdict.txt`, each atomically, and
    extend the folder's manifest.

    Args:
        folder: a results folder, whose race has ended.
        verdict: the folder's verdict, if already computed.

    Raises:
        ResultsError: the folder can't be read.
        OSError: the folder can't be written.
        ValueError: its manifest is invalid.
    """
    verdict = verdict or compute(results.load(folder))
    atomic.write_bytes(folder / "verdict.json", to_json(verdict).encode())
    atomic.write_bytes(folder / "verdict.txt", render.text(verdict).encode())
    manifest.extend(folder)


def to_json(verdict: Verdict) -> str:
    """Return the verdict as JSON, keys in camelCase."""
    return verdict.model_dump_json(indent=2) + "\n"
