"""Options that the commands of pods share."""

from __future__ import annotations

from pathlib import Path

import click

SCENARIO_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

rendezvous_option = click.option(
    "--rendezvous", required=True, envvar="SWARMRACE_RENDEZVOUS", help="Base URL of the rendezvous."
)
race_id_option = click.option(
    "--race-id", envvar="SWARMRACE_RACE_ID", help="Id of the race.  [default: the scenario's]"
)
entrant_option = click.option(
    "--entrant", required=True, envvar="SWARMRACE_ENTRANT", help="Name of the entrant."
)
peer_option = click.option(
    "--peer",
    type=click.IntRange(0),
    required=True,
    envvar="SWARMRACE_PEER",
    help="Index of the peer.",
)
release_hash_option = click.option(
    "--release-hash", default="", envvar="SWARMRACE_RELEASE_HASH", help="The Helm release's hash."
)
scenario_option = click.option(
    "--scenario",
    type=SCENARIO_FILE,
    required=True,
    envvar="SWARMRACE_SCENARIO",
    help="The scenario that is raced.",
)
known_scenario_option = click.option(
    "--scenario",
    type=SCENARIO_FILE,
    envvar="SWARMRACE_SCENARIO",
    help="The scenario that is raced; required without --race-id.",
)
token_option = click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="SWARMRACE_TOKEN_FILE",
    help="File with the token that guards the results.",
)


def race_id_of(scenario: Path | None) -> str:
    """Return a scenario's race id; for a faulty scenario, a string that is no race's id.

    Raises:
        click.UsageError: no scenario is given.
    """
    if scenario is None:
        raise click.UsageError("expected --race-id or --scenario, found neither")
    from swarmrace.errors import ScenarioError
    from swarmrace.scenario.loading import load

    try:
        return load(scenario).race_id()
    except ScenarioError:
        return "faulty"


def read_token(file: Path | None) -> str | None:
    """Return the token in a file, or None without one."""
    return file.read_text().strip() if file is not None else None
