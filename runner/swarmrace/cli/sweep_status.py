"""`swarmrace sweep --status`, and a sweep's exit code."""

from __future__ import annotations

from pathlib import Path

import click

from swarmrace.cli.display import make_console
from swarmrace.errors import Exit
from swarmrace.sweep import state, text

_VERDICT_CODES = frozenset(
    (Exit.ACCEPTANCE_MISSED, Exit.ACCEPTANCE_UNDECIDED, Exit.RACE, Exit.TRANSFERS_FAILED)
)


def apply_fail_on(code: int, fail_on: str) -> int:
    """Return a sweep's exit code; with `fail_on` `incomplete`, that of a verdict becomes 0."""
    return Exit.OK if fail_on == "incomplete" and code in _VERDICT_CODES else code


def print_status(folder: Path, fail_on: str | None, *, as_json: bool) -> int:
    """Print a sweep's progress; return its exit code by the stored results.

    Args:
        folder: the sweep's folder.
        fail_on: `verdict`, `incomplete`, or None for always 0.
        as_json: print it for programs.

    Raises:
        ResultsError: `folder` holds no sweep.
    """
    found = state.read(folder)
    if as_json:
        click.echo(text.to_json(found))
    else:
        make_console().print(text.render(found))
    if fail_on is None:
        return Exit.OK
    if found.missing:
        return Exit.SWEEP_INCOMPLETE
    codes = (apply_fail_on(text.exit_code(cell), fail_on) for cell in found.cells)
    return next((code for code in codes if code), Exit.OK)
