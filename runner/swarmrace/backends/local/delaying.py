"""Delay and loss of a race on one machine: the relay where one is needed, and the trial of it."""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swarmrace.backends.local.processes import run_relay
from swarmrace.errors import RaceError
from swarmrace.network import offload, relay, trial
from swarmrace.network.frames import Port
from swarmrace.network.namespaces import Namespace, PeerNetwork, call_inside
from swarmrace.recording.records import Delay
from swarmrace.scenario.scenario import Race

_SIOCGIFHWADDR = 0x8927
_READY_SECONDS = 20.0


@dataclass(frozen=True)
class Delaying:
    """A network whose frames are delayed or lost.

    Args:
        network: the race's, its links set.
        race: whose conditions they are.
        relayed: whether a relay is needed.
    """

    network: PeerNetwork
    race: Race
    relayed: bool

    def config(self, counts: Path) -> relay.RelayConfig:
        """Return what the relay is to do; it counts in the file `counts`."""
        hub, conditions = self.network.hub, self.race.network
        call_inside(hub, offload.turn_off, hub.interface)
        return relay.RelayConfig(
            _port(hub),
            tuple(_port(peer) for peer in self.network.peers),
            conditions.delay_milliseconds,
            conditions.loss_percent,
            self.race.seed,
            counts,
        )

    def start(self, counts: Path, start: Callable[..., None]) -> None:
        """Start the relay by `start(namespace, function, config)`, and wait until it relays.

        Raises:
            RaceError: it did not.
        """
        start(self.network.ports, run_relay, self.config(counts))
        deadline = time.monotonic() + _READY_SECONDS
        while relay.read_counts(counts) is None:
            if time.monotonic() > deadline:
                raise RaceError(
                    f"relay: expected it to be ready within {_READY_SECONDS:g} s; see its log"
                )
            time.sleep(0.01)

    def measure(self) -> Delay:
        """Return what the network does, measured on the first entrant's peers.

        Raises:
            ConditionError: it does not hold.
        """
        seeders = 0 if self.race.rotate_seeders else self.race.seeders
        return trial.measure(
            self.network.hub,
            self.network.peers[: self.race.swarm_size],
            self.race.network,
            "relay" if self.relayed else "netem",
            seeders=seeders,
        )


def _port(namespace: Namespace) -> Port:
    return Port(namespace.port, call_inside(namespace, _mac, namespace.interface))


def _mac(interface: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("256s", interface.encode())
        return fcntl.ioctl(control, _SIOCGIFHWADDR, request)[18:24]
