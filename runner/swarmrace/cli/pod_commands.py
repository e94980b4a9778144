"""The commands of a race's pods: `tracker`, `peer`, `archive` and `shape`.

Modules are imported in the commands that use them, so that a pod uses little CPU until its tracker
listens.
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
    entrant_option,
    peer_option,
    race_id_option,
    read_token,
    release_hash_option,
    rendezvous_option,
    scenario_option,
    token_option,
)
from swarmrace.errors import Exit, UnavailableError

_TRACKER_FIRST_SECONDS = 2.0


@click.command()
@scenario_option
@race_id_option
@release_hash_option
@click.option(
    "--values",
    type=SCENARIO_FILE,
    envvar="SWARMRACE_VALUES",
    help="All values of the Helm release. If they are faulty, every answer lists the faults.",
)
@click.option(
    "--data-dir",
    type=NewFolder(),
    required=True,
    envvar="SWARMRACE_DATA_DIR",
    help="The results folder, which also holds the tracker's state.",
)
@click.option(
    "--listen",
    type=Listen(),
    default="0.0.0.0:8080",
    show_default=True,
    envvar="SWARMRACE_LISTEN",
    help="Address to listen on.",
)
@click.option(
    "--uds",
    type=click.Path(path_type=Path),
    envvar="SWARMRACE_UDS",
    help="Unix socket to listen on too.",
)
@click.option(
    "--open-announce",
    is_flag=True,
    envvar="SWARMRACE_OPEN_ANNOUNCE",
    help="Also serve /announce and /scrape, besides /RACE-ID/announce. qBittorrent and other "
    "clients of libtorrent accept a loopback tracker only at /announce.",
)
@click.option(
    "--name", default="race", show_default=True, envvar="SWARMRACE_NAME", help="Name of the race."
)
@click.option(
    "--backend",
    default="kubernetes",
    show_default=True,
    envvar="SWARMRACE_BACKEND",
    help="Backend to record in race.json.",
)
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
        trials=TrialPolicy(enabled=trial),
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
    """Return an exit code, or 0 for SIGTERM, with which a tracker's pod always ends."""
    from swarmrace.host.termination import SIGTERM_CODE

    return Exit.OK if code == SIGTERM_CODE else code


@click.command()
@rendezvous_option
@race_id_option
@release_hash_option
@scenario_option
@entrant_option
@peer_option
@click.option(
    "--address", required=True, envvar="SWARMRACE_ADDRESS", help="This peer's own IP address."
)
@click.option(
    "--work-dir",
    type=NewFolder(),
    required=True,
    envvar="SWARMRACE_WORK_DIR",
    help="Folder for payloads.",
)
@click.option(
    "--node", default="", envvar="SWARMRACE_NODE", help="The machine on which the peer runs."
)
@click.option(
    "--isolated/--shared-network",
    default=True,
    envvar="SWARMRACE_ISOLATED",
    help="Whether the peer has a network of its own.  [default: isolated]",
)
@click.option(
    "--burst",
    type=Bytes(),
    envvar="SWARMRACE_BURST",
    help="Burst size of this peer's rate limiter, in bytes.  [default: that of --conditions]",
)
@click.option(
    "--conditions",
    default="tc",
    show_default=True,
    envvar="SWARMRACE_CONDITIONS",
    help="Rate limiter of this peer: tc, or the CNI plugin whose annotations set it.",
)
@click.option(
    "--storage",
    type=Bytes(),
    envvar="SWARMRACE_STORAGE",
    help="Size of the volume with --work-dir.  [default: unknown]",
)
@click.option(
    "--metrics-port", type=int, envvar="SWARMRACE_METRICS_PORT", help="Port to serve /metrics on."
)
@click.option(
    "--push-url", envvar="SWARMRACE_PUSH_URL", help="VictoriaMetrics' import address to push to."
)
@click.option(
    "--linger-seconds",
    type=click.FloatRange(0),
    default=0,
    show_default=True,
    envvar="SWARMRACE_LINGER_SECONDS",
    help="Maximum time to wait after the last run, until a scraper has had two answers at least "
    "5 s apart.",
)
@token_option
def peer(scenario: Path, token_file: Path | None, **options: Any) -> None:
    """Run one peer, which seeds or leeches in every run of its entrant."""
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
    default = None if conditions == "tc" else ANNOTATED_BURST_BYTES
    options["burst_bytes"] = burst or default
    options["work_dir"].mkdir(parents=True, exist_ok=True)
    config = PeerConfig(scenario=loaded, token=read_token(token_file), **options)
    sys.exit(peer_command.run(config, **reporting))


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    envvar="SWARMRACE_DATA_DIR",
    help="The results folder.",
)
@click.option(
    "--race-id",
    type=RaceId(),
    help="Write another race beside this folder: its race id or release hash.",
)
@click.option("--list", "list_", is_flag=True, help="Only write a JSON list of these races.")
@click.option("--sweep", is_flag=True, help="The folder is that of a sweep.")
def archive(data_dir: Path, race_id: str | None, list_: bool, sweep: bool) -> None:
    """Write a results folder to standard output as a tar stream, for `fetch`."""
    from swarmrace.backends.kubernetes import fetch as fetching

    if list_:
        click.echo(json.dumps(fetching.races(data_dir)))
    elif sweep:
        fetching.write_archive(data_dir, head="sweep.json")
    else:
        fetching.write_archive(fetching.folder_of(data_dir, race_id) if race_id else data_dir)


@click.command()
@scenario_option
@entrant_option
@peer_option
@click.option(
    "--device",
    default="eth0",
    show_default=True,
    envvar="SWARMRACE_DEVICE",
    help="The pod's network interface.",
)
@click.option(
    "--rendezvous",
    envvar="SWARMRACE_RENDEZVOUS",
    help="Base URL of the rendezvous, to which a failure is reported.",
)
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
    report = rendezvous and shaping.lost_reporter(
        rendezvous,
        race_id or loaded.race_id(),
        entrant,
        peer,
        read_token(token_file),
        loaded.race.timeouts.assemble_seconds,
    )
    done = shaping.run(loaded.race, peer, device, report or None)
    click.echo(f"{entrant}-{peer}: {done}")


def _require_storage(scenario: Any, storage_bytes: int | None) -> None:
    """Refuse a volume that is too small for the payload and, beside a node, its copy.

    Raises:
        ScenarioError: the volume is too small; the message names the value to set.
    """
    from swarmrace.backends.kubernetes import pods
    from swarmrace.errors import Fault, ScenarioError
    from swarmrace.systems.sidecar import beside

    needed = pods.needed_storage_bytes(scenario.race.file_size, beside_a_node=beside() is not None)
    if storage_bytes is not None and storage_bytes < needed:
        text = f"found {storage_bytes}, expected at least {needed}"
        raise ScenarioError([Fault("global.peers.storage.size", text)])


def _require_peer(scenario: Any, entrant: str, peer: int) -> None:
    """Refuse a peer that isn't in the scenario.

    Raises:
        click.BadParameter: the entrant doesn't exist, or the peer's index is too large.
    """
    if entrant not in scenario.entrants:
        wanted = f"expected one of {', '.join(scenario.entrants)}"
        raise click.BadParameter(f"found {entrant!r}, {wanted}", param_hint="--entrant")
    if peer >= scenario.race.swarm_size:
        wanted = f"expected 0 to {scenario.race.swarm_size - 1}"
        raise click.BadParameter(f"found {peer}, {wanted}", param_hint="--peer")


def _require_address(scenario: Any, entrant: str, address: str) -> None:
    """Refuse a loopback address for a system whose packets must come from its peer's address.

    The kernel sends from 127.0.0.1, whatever loopback address a peer announces.

    Raises:
        UnavailableError: the system can't be raced at this address.
    """
    import ipaddress

    from swarmrace import systems

    options = scenario.entrants[entrant]
    why = systems.load(options.kind).network.own_source_address(options)
    with contextlib.suppress(ValueError):  # a host name is no IP address
        found = ipaddress.ip_address(address)
        if why and found.is_loopback and str(found) not in ("127.0.0.1", "::1"):
            raise UnavailableError(
                f"--address: found {address}: {why}; start each peer in its own network namespace "
                "or pod, or race with `swarmrace run`"
            )
