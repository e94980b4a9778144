"""`swarmrace verdict`: judges results folders, or in a pod waits for the race to end.

Modules are imported in the functions that use them, so that a waiting pod uses little CPU.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from swarmrace.cli.pod_options import (
    known_scenario_option,
    race_id_of,
    race_id_option,
    token_option,
)
from swarmrace.errors import UnavailableError

_PEERS_FIRST_SECONDS = 3.0
"""Pause in which the peers start undisturbed."""


@click.command()
@click.argument(
    "folders",
    nargs=-1,
    metavar="[FOLDER...]",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--accept",
    multiple=True,
    metavar="BOUND",
    help="Acceptance to judge by, instead of the scenario's: furps, issue895, equivalent, a "
    "number, or ENTRANT:BOUND:OF. Only with FOLDER.",
)
@click.option(
    "--rendezvous",
    envvar="SWARMRACE_RENDEZVOUS",
    help="In a pod: base URL of the rendezvous.",
)
@race_id_option
@known_scenario_option
@token_option
@click.option(
    "--timeout-seconds",
    type=float,
    default=86_400,
    show_default=True,
    envvar="SWARMRACE_TIMEOUT_SECONDS",
    help="In a pod: maximum time to wait for the race's end.",
)
@click.option(
    "--sweep",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="SWARMRACE_SWEEP",
    help="In a pod: store the results in this sweep's folder, then exit with 0, whatever the "
    "verdict.",
)
@click.option("--job", envvar="SWARMRACE_JOB", help="With --sweep: name of the Job to label.")
@click.option(
    "--tracker",
    envvar="SWARMRACE_TRACKER",
    help="With --sweep: the tracker's Deployment, scaled to 0 once the results are stored.",
)
def verdict(
    folders: tuple[Path, ...],
    accept: tuple[str, ...],
    rendezvous: str | None,
    race_id: str | None,
    scenario: Path | None,
    token_file: Path | None,
    timeout_seconds: float,
    sweep: Path | None,
    job: str | None,
    tracker: str | None,
) -> None:
    """Judge the results in each FOLDER as one matrix, with the exit codes of a race.

    In a pod, without FOLDER, wait for the race to end and print its verdict.
    """
    if folders:
        from swarmrace.report import judging

        text, code = judging.verdict(folders, accept, lambda line: click.echo(line, err=True))
        click.echo(text)
        sys.exit(code)
    if not rendezvous or not (race_id or scenario):
        raise click.UsageError(
            "expected a FOLDER, or in a pod --rendezvous with --scenario or --race-id"
        )
    if sweep is not None and scenario is None:
        raise click.UsageError("--sweep needs --scenario, which identifies the sweep's cell")
    _let_peers_start(rendezvous, timeout_seconds, tracker)
    from swarmrace.cli import pod_verdict

    # If the values are faulty, the tracker's answer lists more than the scenario, a part of them.
    race = pod_verdict.AwaitedRace(
        rendezvous, race_id or race_id_of(scenario), token_file, timeout_seconds
    )
    if sweep is None or scenario is None:
        sys.exit(pod_verdict.show(race))
    sys.exit(pod_verdict.keep(race, scenario, sweep, pod_verdict.CellObjects(job, tracker)))


def _let_peers_start(rendezvous: str, timeout_seconds: float, tracker: str | None) -> None:
    """Wait for the tracker and let the peers start first: nothing can be judged before a run.

    The tracker is scaled up first, because an earlier attempt's verdict may have ended it.
    """
    import time

    from swarmrace.rendezvous.client import listening

    if tracker is not None:
        from swarmrace.backends.kubernetes import pod_api

        try:
            pod_api.PodApi().scale(tracker, 1)
        except UnavailableError as error:
            click.echo(f"! deployment {tracker}: {error}", err=True)
    listening.wait(rendezvous, min(timeout_seconds, 60))
    time.sleep(_PEERS_FIRST_SECONDS)
