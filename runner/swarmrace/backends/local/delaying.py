"""Delay and loss on one machine: starts the relay if one is needed, and measures the network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from swarmrace.backends.local.processes import run_relay
from swarmrace.errors import RaceError
from swarmrace.network import offload, relay, trial
from swarmrace.network.frames import Port
from swarmrace.network.namespaces import Namespace, PeerNetwork, call_inside
from swarmrace.recording.records import Delay
from swarmrace.scenario.scenario import Race

_READY_SECONDS = 60.0


@dataclass(frozen=True)
class DelayedNetwork:
    """A network whose frames are delayed or lost.

    Args:
        network: the race's network, with its links set.
        race: the race, with its network conditions.
        relayed: whether a relay delays and drops the frames.
    """

    network: PeerNetwork
    race: Race
    relayed: bool

    def config(self, counts: Path) -> relay.RelayConfig:
        """Return the relay's configuration; it writes its counts to the file `counts`."""
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
        """Start the relay with `start(namespace, function, config)`, and wait until it is ready.

        Raises:
            RaceError: it isn't ready in time.
        """
        start(self.network.ports, run_relay, self.config(counts))
        deadline = time.monotonic() + _READY_SECONDS
        while relay.read_counts(counts) is None:
            if time.monotonic() > deadline:
                raise RaceError(
                    f"relay: found it not ready, expected it within {_READY_SECONDS:g} s; see its "
                    "log"
                )
            time.sleep(0.01)

    def measure(self) -> Delay:
        """Return the network's delay and loss, measured on the first entrant's peers.

        Raises:
            ConditionError: the network doesn't have the configured conditions.
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
    entries = psutil.net_if_addrs()[interface]
    (address,) = (each.address for each in entries if each.family == psutil.AF_LINK)
    return bytes.fromhex(address.replace(":", ""))
