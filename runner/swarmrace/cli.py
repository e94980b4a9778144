"""The command line. Exit codes are `swarmrace.errors.Exit`; docs/cli.md lists them.

Modules are imported where they are used: every peer of a local race passes through this file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from swarmrace import __version__
from swarmrace.errors import Exit, SwarmraceError

_FORMAT = click.Choice(["text", "json"])
_TRACKER_FIRST_SECONDS = 2.0
_PEERS_FIRST_SECONDS = 3.0
_scenario_file = click.Path(exists=True, dir_okay=False, path_type=Path)


class _Commands(click.Group):
    """Turns errors into one line and an exit code; a traceback appears only with --debug."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SwarmraceError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"swarmrace: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("swarmrace: interrupted", err=True)
            ctx.exit(Exit.INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            click.echo(
                f"swarmrace: {type(error).__name__}: {error} (a defect: please report it with the "
                "output of --debug)",
                err=True,
            )
            ctx.exit(Exit.UNEXPECTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(debug: bool) -> None:
    """Race Codex (Logos Storage) against BitTorrent, byte by byte."""
    if os.getpid() == 1:
        # A container's first process is left alone by every signal it has no handler for.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@main.command()
@click.argument("scenario", type=_scenario_file)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder below which the results folder is made.",
)
@click.option(
    "--work-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder on whose disk payloads lie during the race.  [default: the system's temporary]",
)
@click.option(
    "--namespaces/--no-namespaces",
    default=None,
    help="Give each peer a network namespace of its own.  [default: when rates, delay or loss "
    "are set]",
)
@click.option("--attempt", type=click.IntRange(1), help="Override the scenario's attempt.")
def run(
    scenario: Path,
    results: Path,
    work_dir: Path | None,
    namespaces: bool | None,
    attempt: int | None,
) -> None:
    """Race SCENARIO on this machine and print the verdict.

    A matrix is raced cell by cell. Ctrl-C ends the race and keeps what was measured.
    """
    from swarmrace.local.command import race

    sys.exit(race(scenario, results, work_dir, namespaces, attempt))


@main.command()
@click.argument("scenario", type=_scenario_file)
@click.option("--format", "format_", type=_FORMAT, default="text", show_default=True)
def plan(scenario: Path, format_: str) -> None:
    """Show what SCENARIO would take: cells, bytes, disk, memory, pods, expected time."""
    from swarmrace import plan as planning
    from swarmrace.scenario import load

    planned = planning.plan(load(scenario))
    if format_ == "json":
        click.echo(json.dumps(planned.model_dump(mode="json"), indent=2))
    else:
        _console().print(planning.render(planned))


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--format", "format_", type=_FORMAT, default="text", show_default=True)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture too.")
def show(folder: Path, format_: str, svg: Path | None) -> None:
    """Print the verdict of the results in FOLDER again."""
    from swarmrace.verdict import command

    sys.exit(command.show(folder, as_json=format_ == "json", svg=svg))


@main.command()
@click.option(
    "--chart",
    help="Print the values schema of one chart instead (`swarmrace`, `tracker`…).",
)
@click.option(
    "--write",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Write values.schema.json of every chart below this folder.",
)
@click.option("--check", is_flag=True, help="With --write: change nothing, fail on drift.")
def schema(chart: str | None, write: Path | None, check: bool) -> None:
    """Print the JSON Schema of a scenario file."""
    from swarmrace import schema as schemas

    if write is None:
        click.echo(
            json.dumps(
                schemas.chart_schema(chart) if chart else schemas.scenario_schema(), indent=2
            )
        )
        return
    changed = schemas.write(write, check=check)
    for path in changed:
        click.echo(f"{path}: {'differs from the model' if check else 'written'}")
    sys.exit(Exit.UNEXPECTED if check and changed else Exit.OK)


@main.command()
@click.option("--fix", is_flag=True, help="Remove what killed races left behind.")
@click.option("--format", "format_", type=_FORMAT, default="text", show_default=True)
def doctor(fix: bool, format_: str) -> None:
    """Say what this machine can and can't do, and how to mend it."""
    from swarmrace import doctor as doctors

    rows = doctors.examine(fix=fix)
    if format_ == "json":
        click.echo(json.dumps([row.model_dump(mode="json") for row in rows], indent=2))
    else:
        _console().print(doctors.render(rows))
    sys.exit(Exit.UNAVAILABLE if any(row.state == "missing" for row in rows) else Exit.OK)


_rendezvous = click.option(
    "--rendezvous", required=True, envvar="SWARMRACE_RENDEZVOUS", help="Base URL of the rendezvous."
)
_race_id = click.option("--race-id", envvar="SWARMRACE_RACE_ID", required=True)
_scenario = click.option(
    "--scenario", type=_scenario_file, required=True, envvar="SWARMRACE_SCENARIO"
)
_token = click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="SWARMRACE_TOKEN_FILE",
    help="File that holds the token guarding the results.",
)


@main.command()
@_scenario
@click.option("--race-id", envvar="SWARMRACE_RACE_ID", help="[default: the scenario's]")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    envvar="SWARMRACE_DATA_DIR",
    help="The results folder, which is also the tracker's state.",
)
@click.option("--listen", default="0.0.0.0:8080", show_default=True, envvar="SWARMRACE_LISTEN")
@click.option("--uds", type=click.Path(path_type=Path), envvar="SWARMRACE_UDS")
@click.option("--name", default="race", show_default=True, envvar="SWARMRACE_NAME")
@click.option("--backend", default="kubernetes", show_default=True, envvar="SWARMRACE_BACKEND")
@_token
def tracker(
    scenario: Path,
    race_id: str | None,
    data_dir: Path,
    listen: str,
    uds: Path | None,
    name: str,
    backend: str,
    token_file: Path | None,
) -> None:
    """Serve the bootstrap tracker: announces, the board, barriers and results."""
    from swarmrace.local.processes import run_tracker
    from swarmrace.rendezvous.server import ServerConfig
    from swarmrace.scenario import load

    host, _, port = listen.rpartition(":")
    loaded = load(scenario)
    data_dir.mkdir(parents=True, exist_ok=True)
    config = ServerConfig(
        scenario=loaded,
        race_id=race_id or loaded.race_id(),
        data_dir=data_dir,
        host=host.strip("[]"),
        port=int(port),
        uds=uds,
        name=name,
        backend=backend,
        token=_read_token(token_file),
    )
    code = run_tracker(config)
    sys.exit(Exit.OK if code == 128 + signal.SIGTERM else code)


@main.command()
@_rendezvous
@_race_id
@_scenario
@click.option("--entrant", required=True, envvar="SWARMRACE_ENTRANT")
@click.option("--peer", type=click.IntRange(0), required=True, envvar="SWARMRACE_PEER")
@click.option("--address", required=True, envvar="SWARMRACE_ADDRESS", help="This peer's own IP.")
@click.option(
    "--work-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    envvar="SWARMRACE_WORK_DIR",
)
@click.option("--node", default="", envvar="SWARMRACE_NODE", help="The machine it runs on.")
@click.option("--isolated/--shared-network", default=True, envvar="SWARMRACE_ISOLATED")
@click.option(
    "--metrics-port", type=int, envvar="SWARMRACE_METRICS_PORT", help="Serve /metrics there."
)
@click.option("--push-url", envvar="SWARMRACE_PUSH_URL", help="VictoriaMetrics' import address.")
@click.option(
    "--linger-seconds",
    type=click.FloatRange(0),
    default=0,
    show_default=True,
    envvar="SWARMRACE_LINGER_SECONDS",
    help="How long to stay at most after the last run, until a scraper has had two answers at "
    "least 5 s apart.",
)
@_token
def peer(scenario: Path, token_file: Path | None, **options: Any) -> None:
    """Live one peer's life: seed or leech in every run of its entrant."""
    from swarmrace import listening

    listening.wait(options["rendezvous"], _TRACKER_FIRST_SECONDS)

    from swarmrace import peer_command
    from swarmrace.peer import PeerConfig
    from swarmrace.scenario import load

    reporting = {key: options.pop(key) for key in ("metrics_port", "push_url", "linger_seconds")}
    options["work_dir"].mkdir(parents=True, exist_ok=True)
    config = PeerConfig(scenario=load(scenario), token=_read_token(token_file), **options)
    sys.exit(peer_command.run(config, **reporting))


@main.command()
@_rendezvous
@_race_id
@_token
@click.option("--timeout-seconds", type=float, default=86_400, envvar="SWARMRACE_TIMEOUT_SECONDS")
def verdict(rendezvous: str, race_id: str, token_file: Path | None, timeout_seconds: float) -> None:
    """Wait for a race on a cluster to end and print its verdict; fail by the acceptance alone."""
    import asyncio
    import tempfile
    import time

    from swarmrace import listening

    # There is nothing to judge before the first run: peers go first.
    listening.wait(rendezvous, min(timeout_seconds, 60))
    time.sleep(_PEERS_FIRST_SECONDS)

    from swarmrace import fetch as fetching
    from swarmrace.display import Guarded, Lines
    from swarmrace.verdict import command

    console = _console()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        asyncio.run(
            fetching.wait_and_download(
                rendezvous,
                race_id,
                _read_token(token_file),
                folder,
                timeout_seconds=timeout_seconds,
                watch=Guarded(Lines(console)).update,
            )
        )
        code = command.show(folder, console=console)
        # That nothing could be raced is a result too: a Job fails by its acceptance alone.
        sys.exit(Exit.OK if code == Exit.RACE else code)


@main.command()
@click.argument("release")
@click.option("-n", "--namespace", help="Kubernetes namespace.  [default: the context's]")
@click.option("--context", "context_", help="kubeconfig context.  [default: the current one]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to make.  [default: results/RELEASE-RACEID]",
)
@click.option("--race-id", help="An earlier race of the release.  [default: the present one]")
@click.option("--list", "list_", is_flag=True, help="Only list the races that it still holds.")
def fetch(
    release: str,
    namespace: str | None,
    context_: str | None,
    output: Path | None,
    race_id: str | None,
    list_: bool,
) -> None:
    """Bring the results folder of a Helm RELEASE here (needs kubectl)."""
    from swarmrace import fetch as fetching
    from swarmrace.units import format_size

    cluster = fetching.Cluster(release, namespace, context_)
    if list_:
        for race in cluster.races():
            size = format_size(race["sizeBytes"])
            click.echo(f"{race['raceId']}  {race['status']:<11}  {race['createdUtc']}  {size}")
        return
    folder = cluster.fetch(output, race_id)
    if warning := fetching.unfinished(folder):
        click.echo(f"swarmrace: {warning}", err=True)
    click.echo(folder)


@main.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    envvar="SWARMRACE_DATA_DIR",
)
@click.option("--race-id", help="Another race, whose folder lies beside that one.")
@click.option("--list", "list_", is_flag=True, help="Write a JSON list of the races there instead.")
def archive(data_dir: Path, race_id: str | None, list_: bool) -> None:
    """Write a results folder to standard output as a tar stream (what `fetch` asks for)."""
    from swarmrace import fetch as fetching

    if list_:
        click.echo(json.dumps(fetching.races(data_dir)))
    else:
        fetching.write_archive(data_dir.with_name(race_id) if race_id else data_dir)


@main.command()
@_scenario
@click.option("--entrant", required=True, envvar="SWARMRACE_ENTRANT")
@click.option("--peer", type=click.IntRange(0), required=True, envvar="SWARMRACE_PEER")
@click.option("--device", default="eth0", show_default=True, envvar="SWARMRACE_DEVICE")
def shape(scenario: Path, entrant: str, peer: int, device: str) -> None:
    """Apply a scenario's network conditions to this pod's own interface (needs NET_ADMIN)."""
    from swarmrace.network import conditions
    from swarmrace.scenario import load

    race = load(scenario).race
    seeder = not race.rotate_seeders and peer < race.seeders
    done = conditions.apply_own(race.network, seeder=seeder, device=device)
    click.echo(f"{entrant}-{peer}: {done}")


def _read_token(file: Path | None) -> str | None:
    return file.read_text().strip() if file is not None else None


def _console() -> Any:
    from swarmrace.display import make_console

    return make_console()


if __name__ == "__main__":
    main()
