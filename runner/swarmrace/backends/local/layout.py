"""Where the peers of a local race sit: loopback addresses, or network namespaces of their own.

No two peers of a swarm share a /24. BitTorrent derives the pieces that a choked peer may fetch from
the /24 of its address (BEP 6, allowed fast), so leechers of one /24 would all begin with the same
pieces, which peers spread over the internet don't. Up to 250 peers of an entrant differ so on
loopback, and all of them in namespaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from swarmrace.backends.local.delaying import Delaying
from swarmrace.scenario.scenario import Scenario

_FIRST_ENTRANT_OCTET = 16


@dataclass(frozen=True, slots=True)
class Seat:
    """One process's place."""

    address: str
    namespace: str | None = None
    """What `network.namespaces.enter` takes, or None for the machine's own network."""
    port: str = ""
    """The hub's end of a peer's link; empty without a namespace."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of a race: the rendezvous' and every peer's, by entrant and peer index."""

    hub: Seat
    seats: dict[tuple[str, int], Seat]
    ends: Seat
    """Where the other ends of the peers' links are."""
    delaying: Delaying | None = None
    """What delays frames, where delay or loss is set."""

    @classmethod
    @contextmanager
    def of(cls, scenario: Scenario, *, namespaces: bool) -> Iterator[Layout]:
        """Lay out a scenario; with `namespaces`, make them, shape their links, remove them after.

        On loopback peer k of entrant e has 127.(16+e).(1 + k mod 250).(1 + k div 250), so that no
        two peers of a race share an address.

        Raises:
            ConditionError: namespaces or the scenario's network conditions can't be had here.
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
        relayed = conditions.relayed(race.network)
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
                Delaying(network, race, relayed) if race.network.delayed else None,
            )


def _loopback(entrant: int, peer: int) -> str:
    return f"127.{_FIRST_ENTRANT_OCTET + entrant}.{1 + peer % 250}.{1 + peer // 250}"
