"""The pods of a race, each in its own network namespace, on one machine.

The commands, variables and addresses are those of the charts. Codex is its test double, in a
sidecar that the supervisor starts; every other program is started by its peer.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from codex_double.testing import program
from pyroute2 import IPRoute

from supervising import ended, start_supervisor
from swarmrace.host.sockets import url_host
from swarmrace.network.namespaces import Namespace, PeerNetwork, call_inside
from swarmrace.network.rtnetlink import Rtnetlink
from swarmrace.scenario.loading import load
from swarmrace.systems.codex.sidecars import SIDECARS

TRACKER = 8080


def addresses(network: PeerNetwork, families: str) -> list[str]:
    """Give the pods addresses of `families`; return each one's first (`status.podIP`).

    Args:
        network: the rendezvous' pod and the peers'.
        families: `IPv4 only`, `IPv6 only`, `both, IPv4 first` or `both, IPv6 first`.
    """
    found = []
    for number, pod in enumerate((network.hub, *network.peers), 1):
        ipv6 = f"fd00::{number:x}"
        if families != "IPv4 only":
            call_inside(pod, _add, pod.interface, ipv6)
        if families == "IPv6 only":
            call_inside(pod, _remove_ipv4, pod.interface)
        found.append(pod.address if families in ("IPv4 only", "both, IPv4 first") else ipv6)
    return found


def race(folder: Path, scenario_file: Path, families: str) -> dict[str, int]:
    """Race a scenario; return each peer's exit code. The results are in `folder/data`."""
    scenario = load(scenario_file)
    wanted = [
        (entrant, peer) for entrant in scenario.entrants for peer in range(scenario.race.swarm_size)
    ]
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(PeerNetwork(len(wanted)))
        hub, *own = addresses(network, families)
        tracker = ["tracker", "--data-dir", str(folder / "data"), "--listen", f"*:{TRACKER}"]
        stack.enter_context(_process(folder, "tracker", network.hub, [*tracker], scenario_file, {}))
        peers = {}
        for (entrant, peer), pod, address in zip(wanted, network.peers, own, strict=True):
            name = f"{entrant}-{peer}"
            variables = {}
            if scenario.entrants[entrant].kind == "codex":
                node = folder / name
                stack.enter_context(ended(call_inside(pod, _start_node, node, address)))
                variables = {
                    "SWARMRACE_SIDECAR_API": "http://127.0.0.1:8080",
                    "SWARMRACE_SIDECAR_METRICS": "http://127.0.0.1:8008/metrics",
                    "SWARMRACE_SIDECAR_CONTROL": str(node / "control"),
                }
            arguments = [
                "peer",
                f"--rendezvous=http://{url_host(hub)}:{TRACKER}",
                f"--entrant={entrant}",
                f"--peer={peer}",
                f"--address={address}",
                f"--work-dir={folder / name / 'work'}",
            ]
            peers[name] = stack.enter_context(
                _process(folder, name, pod, arguments, scenario_file, variables)
            )
        return {name: process.wait() for name, process in peers.items()}


def _add(interface: str, address: str) -> None:
    with Rtnetlink() as links:
        links.add_address(interface, address, 64)


def _remove_ipv4(interface: str) -> None:
    with IPRoute() as route:
        route.flush_addr(index=socket.if_nametoindex(interface), family=socket.AF_INET)


def _start_node(folder: Path, address: str) -> subprocess.Popen[bytes]:
    folder.mkdir()
    own = {
        name: value.replace("$(POD_IP)", address) for name, value in SIDECARS["codex"].env.items()
    }
    environment = {**os.environ, **own, "CODEX_DATA_DIR": str(folder / "volume/data")}
    return start_supervisor(folder, [str(program(folder / "bin"))], environment=environment)


@contextlib.contextmanager
def _process(
    folder: Path,
    name: str,
    pod: Namespace,
    arguments: list[str],
    scenario: Path,
    variables: dict[str, str],
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "swarmrace", *arguments, "--scenario", str(scenario)]
    with (folder / f"{name}.log").open("w") as log:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **variables}
            )

        process = call_inside(pod, start)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
