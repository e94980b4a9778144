"""`swarmrace system check`: checks a new system against the contract of every system."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from swarmrace.errors import Exit, UsageError


@click.group()
def system() -> None:
    """Check a system before racing it."""


def _option(_: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    """Return an entrant's options as in a scenario."""
    result = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise click.BadParameter(f"found {text!r}, expected KEY=VALUE", param=parameter)
        try:
            result[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())
            raise click.BadParameter(f"{text!r}: {reason}", param=parameter) from None
    return result


@system.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--kind", metavar="KIND", help="Check an installed kind instead of COMMAND's program."
)
@click.option(
    "--set",
    "options",
    multiple=True,
    callback=_option,
    metavar="KEY=VALUE",
    help="An option of the entrant, as in a scenario (inOrder=true). Repeatable.",
)
@click.option(
    "--content",
    type=click.Choice(["unknown", "named", "unnamed"]),
    default="unknown",
    show_default=True,
    help="Whether a reference identifies the content, so that a second seeder must refuse other "
    "content.",
)
@click.option("--only", metavar="TEXT", help="Check only the clauses with this in their name.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def check(
    kind: str | None,
    options: Mapping[str, Any],
    content: str,
    only: str | None,
    command: tuple[str, ...],
) -> None:
    """Check that COMMAND's program keeps the contract of a system, in real swarms on this machine.

    Every clause is printed, with the reason if it is broken. The exit code is 15 if a clause is
    broken (docs/exec.md).
    """
    from swarmrace.contract.checks import CHECKS, broken
    from swarmrace.contract.swarm import Subject
    from swarmrace.scenario.entrants import options_of

    if (kind is None) != bool(command):
        found = "both" if command else "neither"
        raise UsageError(f"expected either a COMMAND or --kind, found {found}")
    given = {"kind": kind} if kind is not None else _of_command(command)
    parsed = options_of({**given, **options})
    names = {"unknown": None, "named": True, "unnamed": False}[content]
    subject = Subject(
        parsed.kind, {name: getattr(parsed, name) for name in parsed.model_fields_set}, names
    )
    checks = [each for each in CHECKS if only is None or only in each.name]
    if not checks:
        raise UsageError(f"--only: found {only}, expected part of a clause's name")
    failed = 0
    for each in checks:
        with tempfile.TemporaryDirectory(prefix="swarmrace-check-") as folder:
            reason = broken(each, subject, Path(folder))
        failed += reason is not None
        click.echo(f"ok       {each.name}" if reason is None else f"BROKEN   {each.name}: {reason}")
    click.echo(f"{len(checks) - failed} of {len(checks)} clauses kept")
    sys.exit(Exit.CONTRACT_BROKEN if failed else Exit.OK)


def _of_command(command: tuple[str, ...]) -> dict[str, Any]:
    """Return the options of an entrant with a command's program."""
    from swarmrace import systems

    for kind in systems.names():
        spec = systems.find(kind)
        if spec is not None and spec.of_command is not None:
            return spec.of_command(command).model_dump(exclude_unset=True) | {"kind": kind}
    raise UsageError("found no installed kind for any program, expected one; give --kind")
