"""The seats of a local race's peers: loopback addresses, or network namespaces.

No two peers of a swarm share a /24. BitTorrent derives the pieces that a choked peer may fetch from
the /24 of its address (BEP 6, allowed fast). So leechers in one /24 would all begin with the same
pieces, unlike peers on the internet. On loopback this holds for up to 250 peers of an entrant, in
namespaces for any number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from swarmrace.backends.local.delaying import DelayedNetwork
from swarmrace.scenario.scenario import Scenario

_FIRST_ENTRANT_OCTET = 16


@dataclass(frozen=True, slots=True)
class Seat:
    """The address and network namespace of a process."""

    address: str
    namespace: str | None = None
    """Path for `network.namespaces.enter`, or None for the machine's own network."""
    port: str = ""
    """The hub's end of a peer's link; empty without a namespace."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The seats of a race: the rendezvous' (`hub`) and every peer's, by entrant and peer index."""

    hub: Seat
    seats: dict[tuple[str, int], Seat]
    link_ends: Seat
    """The seat that holds the hub's ends of the peers' links."""
    delaying: DelayedNetwork | None = None
    """The network, if delay or loss is set."""

    @classmethod
    @contextmanager
    def create(cls, scenario: Scenario, *, namespaces: bool) -> Iterator[Layout]:
        """Lay out a scenario. With `namespaces`, create them, limit their links, and remove them
        afterwards.

        On loopback, peer k of entrant e has the address 127.(16+e).(1 + k mod 250).(1 + k div 250),
        so that no two peers of a race share one.

        Raises:
            ConditionError: this machine can't provide namespaces or the network conditions.
        """
        keys = [
            (name, peer) for name in scenario.entrants for peer in range(scenario.race.swarm_size)
        ]
        if not namespaces:
            numbers = {name: number for number, name in enumerate(scenario.entrants)}
            yield cls(
                Seat("127.0.0.1"),
                {(name, peer): Seat(_loopback(numbers[name], peer)) for name, peer in keys},
                Seat("127.0.0.1"),
            )
            return
        from swarmrace.network import conditions
        from swarmrace.network.namespaces import PeerNetwork

        race = scenario.race
        relayed = conditions.needs_relay(race.network)
        with PeerNetwork(len(keys), relayed=relayed) as network:
            for (_, peer), namespace in zip(keys, network.peers, strict=True):
                seeder = not race.rotate_seeders and peer < race.seeders
                conditions.apply(
                    network.ports, namespace, race.network, seeder=seeder, relayed=relayed
                )
            yield cls(
                Seat(network.hub.address, network.hub.path),
                {
                    key: Seat(namespace.address, namespace.path, namespace.port)
                    for key, namespace in zip(keys, network.peers, strict=True)
                },
                Seat("", network.ports),
                DelayedNetwork(network, race, relayed) if race.network.delayed else None,
            )


def _loopback(entrant: int, peer: int) -> str:
    return f"127.{_FIRST_ENTRANT_OCTET + entrant}.{1 + peer % 250}.{1 + peer // 250}"
