"""The commands that a cluster's pods run. `swarmrace.cli.main` has those that people call.

Modules are imported where they are used: a pod stays out of the way until its tracker listens.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import click

from swarmrace.cli.parameters import Bytes, Listen, NewFolder, RaceId
from swarmrace.cli.pod_options import (
    SCENARIO_FILE,
    known_scenario_option,
    race_id_of,
    race_id_option,
    read_token,
    release_hash_option,
    rendezvous_option,
    scenario_option,
    token_option,
)
from swarmrace.errors import Exit, InfrastructureError, UnavailableError

_TRACKER_FIRST_SECONDS = 2.0
_PEERS_FIRST_SECONDS = 3.0


@click.command()
@scenario_option
@race_id_option
@release_hash_option
@click.option(
    "--values",
    type=SCENARIO_FILE,
    envvar="SWARMRACE_VALUES",
    help="All values of the Helm release. If they are faulty, every request is answered with the "
    "faults.",
)
@click.option(
    "--data-dir",
    type=NewFolder(),
    required=True,
    envvar="SWARMRACE_DATA_DIR",
    help="The results folder, which is also the tracker's state.",
)
@click.option(
    "--listen",
    type=Listen(),
    default="0.0.0.0:8080",
    show_default=True,
    envvar="SWARMRACE_LISTEN",
)
@click.option("--uds", type=click.Path(path_type=Path), envvar="SWARMRACE_UDS")
@click.option(
    "--open-announce",
    is_flag=True,
    envvar="SWARMRACE_OPEN_ANNOUNCE",
    help="Serve /announce and /scrape too, beside /RACE-ID/announce. qBittorrent and other clients "
    "of libtorrent accept a loopback tracker only at /announce.",
)
@click.option("--name", default="race", show_default=True, envvar="SWARMRACE_NAME")
@click.option("--backend", default="kubernetes", show_default=True, envvar="SWARMRACE_BACKEND")
@click.option(
    "--trial/--no-trial",
    default=True,
    show_default=True,
    envvar="SWARMRACE_TRIAL",
    help="Start and join each program once before the first run.",
)
@token_option
def tracker(
    scenario: Path,
    race_id: str | None,
    release_hash: str,
    values: Path | None,
    data_dir: Path,
    listen: tuple[str, int],
    uds: Path | None,
    open_announce: bool,
    name: str,
    backend: str,
    trial: bool,
    token_file: Path | None,
) -> None:
    """Serve the bootstrap tracker: announces, the board, barriers and results."""
    if values is not None:
        from swarmrace.backends.kubernetes import judge as judging

        if faults := judging.faults_of(judging.read(values)):
            sys.exit(_serve_faults(faults, *listen))

    from swarmrace.backends.local.processes import run_tracker
    from swarmrace.rendezvous.server import ServerConfig
    from swarmrace.rendezvous.trial_book import TrialPolicy
    from swarmrace.scenario.loading import load
    from swarmrace.verdict import stopping

    host, port = listen
    loaded = load(scenario)
    data_dir.mkdir(parents=True, exist_ok=True)
    config = ServerConfig(
        scenario=loaded,
        race_id=race_id or loaded.race_id(),
        release_hash=release_hash,
        data_dir=data_dir,
        host=host,
        port=port,
        uds=uds,
        open_announce=open_announce,
        name=name,
        backend=backend,
        trials=TrialPolicy(held=trial),
        stop_rule=stopping.decided if loaded.race.stopping else None,
        token=read_token(token_file),
    )
    sys.exit(_unless_ended(run_tracker(config)))


def _serve_faults(faults: list[Any], host: str, port: int) -> int:
    import asyncio

    from swarmrace.host.termination import ended_by_sigterm
    from swarmrace.rendezvous.faulty import serve_faults

    return _unless_ended(asyncio.run(ended_by_sigterm(serve_faults(faults, host, port))))


def _unless_ended(code: int) -> int:
    """Return an exit code; 0 where SIGTERM was the end: so a tracker's pod always ends."""
    from swarmrace.host.termination import SIGTERM_CODE

    return Exit.OK if code == SIGTERM_CODE else code


@click.command()
@rendezvous_option
@race_id_option
@release_hash_option
@scenario_option
@click.option("--entrant", required=True, envvar="SWARMRACE_ENTRANT")
@click.option("--peer", type=click.IntRange(0), required=True, envvar="SWARMRACE_PEER")
@click.option("--address", required=True, envvar="SWARMRACE_ADDRESS", help="This peer's own IP.")
@click.option(
    "--work-dir",
    type=NewFolder(),
    required=True,
    envvar="SWARMRACE_WORK_DIR",
)
@click.option("--node", default="", envvar="SWARMRACE_NODE", help="The machine it runs on.")
@click.option("--isolated/--shared-network", default=True, envvar="SWARMRACE_ISOLATED")
@click.option(
    "--burst",
    type=Bytes(),
    envvar="SWARMRACE_BURST",
    help="Burst size of what limits this peer's rates.  [default: of --conditions]",
)
@click.option(
    "--conditions",
    default="tc",
    show_default=True,
    envvar="SWARMRACE_CONDITIONS",
    help="What limits this peer's rates: tc, or a CNI plugin's annotations.",
)
@click.option(
    "--storage",
    type=Bytes(),
    envvar="SWARMRACE_STORAGE",
    help="Size of the volume of --work-dir.  [default: not known]",
)
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
@token_option
def peer(scenario: Path, token_file: Path | None, **options: Any) -> None:
    """Live one peer's life: seed or leech in every run of its entrant."""
    from swarmrace.rendezvous.client import listening

    listening.wait(options["rendezvous"], _TRACKER_FIRST_SECONDS)

    from swarmrace.cli import peer_command
    from swarmrace.peer.state import PeerConfig
    from swarmrace.scenario.cluster import ANNOTATED_BURST_BYTES
    from swarmrace.scenario.loading import load

    reporting = {key: options.pop(key) for key in ("metrics_port", "push_url", "linger_seconds")}
    loaded = load(scenario)
    options["race_id"] = options["race_id"] or loaded.race_id()
    _require_peer(loaded, options["entrant"], options["peer"])
    _require_address(loaded, options["entrant"], options["address"])
    _require_storage(loaded, options.pop("storage"))
    burst, conditions = options.pop("burst"), options.pop("conditions")
    known = None if conditions == "tc" else ANNOTATED_BURST_BYTES
    options["burst_bytes"] = burst or known
    options["work_dir"].mkdir(parents=True, exist_ok=True)
    config = PeerConfig(scenario=loaded, token=read_token(token_file), **options)
    sys.exit(peer_command.run(config, **reporting))


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
    help="Judge by this instead of the scenario's: furps, issue895, equivalent, a number, or "
    "ENTRANT:BOUND:OF. With FOLDER only.",
)
@click.option("--rendezvous", envvar="SWARMRACE_RENDEZVOUS", help="In a pod: its base URL.")
@race_id_option
@known_scenario_option
@token_option
@click.option("--timeout-seconds", type=float, default=86_400, envvar="SWARMRACE_TIMEOUT_SECONDS")
def verdict(
    folders: tuple[Path, ...],
    accept: tuple[str, ...],
    rendezvous: str | None,
    race_id: str | None,
    scenario: Path | None,
    token_file: Path | None,
    timeout_seconds: float,
) -> None:
    """Judge the results in each FOLDER together, as one matrix; exits as a race does.

    In a pod, without FOLDER: wait for the race to end and print its verdict.
    """
    if folders:
        from swarmrace.report import judging

        text, code = judging.verdict(folders, accept, lambda line: click.echo(line, err=True))
        click.echo(text)
        sys.exit(code)
    if not rendezvous or not (race_id or scenario):
        raise click.UsageError(
            "expected a FOLDER, or in a pod --rendezvous and --scenario or --race-id"
        )
    _await_verdict(rendezvous, race_id, scenario, token_file, timeout_seconds)


def _await_verdict(
    rendezvous: str,
    race_id: str | None,
    scenario: Path | None,
    token_file: Path | None,
    timeout_seconds: float,
) -> None:
    import asyncio
    import tempfile
    import time

    from swarmrace.rendezvous.client import listening

    # There is nothing to judge before the first run: peers go first.
    listening.wait(rendezvous, min(timeout_seconds, 60))
    time.sleep(_PEERS_FIRST_SECONDS)

    from swarmrace.backends.kubernetes import fetch as fetching
    from swarmrace.cli import verdict_command as command
    from swarmrace.cli.display import Guarded, Lines, make_console
    from swarmrace.integrity.verify import require

    console = make_console()
    # What is wrong with the values the tracker knows better than the scenario, which is a part.
    race_id = race_id or race_id_of(scenario)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        status = asyncio.run(
            fetching.wait_and_download(
                rendezvous,
                race_id,
                read_token(token_file),
                folder,
                timeout_seconds=timeout_seconds,
                watch=Guarded(Lines(make_console(stderr=True))).update,
            )
        )
        require(folder)
        code = command.show(folder, full=True, console=console)
        if status.get("stopped"):  # which a full disk may have kept out of the folder
            raise InfrastructureError(f"the race was stopped: {status['stopped']}")
        sys.exit(code)


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    envvar="SWARMRACE_DATA_DIR",
)
@click.option(
    "--race-id", type=RaceId(), help="Another race beside that one: its race id or release hash."
)
@click.option("--list", "list_", is_flag=True, help="Write a JSON list of the races there instead.")
@click.option("--sweep", is_flag=True, help="The folder is a sweep's.")
def archive(data_dir: Path, race_id: str | None, list_: bool, sweep: bool) -> None:
    """Write a results folder to standard output as a tar stream (what `fetch` asks for)."""
    from swarmrace.backends.kubernetes import fetch as fetching

    if list_:
        click.echo(json.dumps(fetching.races(data_dir)))
    elif sweep:
        fetching.write_archive(data_dir, head="sweep.json")
    else:
        fetching.write_archive(fetching.folder_of(data_dir, race_id) if race_id else data_dir)


@click.command()
@scenario_option
@click.option("--entrant", required=True, envvar="SWARMRACE_ENTRANT")
@click.option("--peer", type=click.IntRange(0), required=True, envvar="SWARMRACE_PEER")
@click.option("--device", default="eth0", show_default=True, envvar="SWARMRACE_DEVICE")
@click.option("--rendezvous", envvar="SWARMRACE_RENDEZVOUS", help="Who is told when it fails.")
@race_id_option
@token_option
def shape(
    scenario: Path,
    entrant: str,
    peer: int,
    device: str,
    rendezvous: str | None,
    race_id: str | None,
    token_file: Path | None,
) -> None:
    """Apply a scenario's network conditions to this pod's own interface (needs NET_ADMIN)."""
    from swarmrace.backends.kubernetes import shape as shaping
    from swarmrace.scenario.loading import load

    loaded = load(scenario)
    _require_peer(loaded, entrant, peer)
    tell = rendezvous and shaping.teller(
        rendezvous,
        race_id or loaded.race_id(),
        entrant,
        peer,
        read_token(token_file),
        loaded.race.timeouts.assemble_seconds,
    )
    done = shaping.run(loaded.race, peer, device, tell or None)
    click.echo(f"{entrant}-{peer}: {done}")


def _require_storage(scenario: Any, storage_bytes: int | None) -> None:
    """Refuse a volume that can't hold the payload, and a node's copy of it beside a node.

    Raises:
        ScenarioError: it names the value to set.
    """
    from swarmrace.backends.kubernetes import pods
    from swarmrace.errors import Fault, ScenarioError
    from swarmrace.systems.sidecar import beside

    needed = pods.needed_storage_bytes(scenario.race.file_size, beside_a_node=beside() is not None)
    if storage_bytes is not None and storage_bytes < needed:
        text = f"found {storage_bytes}, expected at least {needed}"
        raise ScenarioError([Fault("global.peers.storage.size", text)])


def _require_peer(scenario: Any, entrant: str, peer: int) -> None:
    """Refuse a peer that a scenario hasn't.

    Raises:
        click.BadParameter: it names no entrant, or its index is too large.
    """
    if entrant not in scenario.entrants:
        wanted = f"expected one of {', '.join(scenario.entrants)}"
        raise click.BadParameter(f"found {entrant!r}, {wanted}", param_hint="--entrant")
    if peer >= scenario.race.swarm_size:
        wanted = f"expected 0 to {scenario.race.swarm_size - 1}"
        raise click.BadParameter(f"found {peer}, {wanted}", param_hint="--peer")


def _require_address(scenario: Any, entrant: str, address: str) -> None:
    """Refuse a loopback address to a system that needs packets to leave from its peer's address:
    the kernel sends from 127.0.0.1, whichever of them a peer announces.

    Raises:
        UnavailableError: it can't be raced there.
    """
    import ipaddress

    from swarmrace import systems

    options = scenario.entrants[entrant]
    why = systems.load(options.kind).network.own_source_address(options)
    with contextlib.suppress(ValueError):  # a name, say
        found = ipaddress.ip_address(address)
        if why and found.is_loopback and str(found) not in ("127.0.0.1", "::1"):
            raise UnavailableError(
                f"--address: found {address}: {why}; start each peer in a network namespace or pod "
                "of its own, or race with `swarmrace run`"
            )
