"""The commands of a Helm release's hooks: `judge` before an upgrade, `answers` for `helm test`."""

from __future__ import annotations

from pathlib import Path

import click

from swarmrace.cli.pod_options import (
    SCENARIO_FILE,
    known_scenario_option,
    race_id_of,
    race_id_option,
    read_token,
    rendezvous_option,
    token_option,
)


@click.command()
@click.argument("values", type=SCENARIO_FILE)
def judge(values: Path) -> None:
    """Check a Helm release's values (a JSON file): print every fault and exit with 3."""
    from swarmrace.backends.kubernetes import judge as judging
    from swarmrace.errors import ScenarioError

    if faults := judging.faults_of(judging.read(values)):
        raise ScenarioError(faults, "the release's values")
    click.echo("these values can be raced")


@click.command()
@rendezvous_option
@race_id_option
@known_scenario_option
@token_option
def answers(
    rendezvous: str, race_id: str | None, scenario: Path | None, token_file: Path | None
) -> None:
    """Check that a release's tracker and board answer, and refuse requests without a token."""
    from swarmrace.backends.kubernetes import answers

    answers.require_answers(rendezvous, race_id or race_id_of(scenario), read_token(token_file))
    click.echo("tracker and board answer, and refuse requests without a token")
