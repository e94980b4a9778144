"""A relay between real namespaces, for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swarmrace.backends.local import processes
from swarmrace.backends.local.delaying import DelayedNetwork
from swarmrace.network import conditions, relay
from swarmrace.network.namespaces import PeerNetwork
from swarmrace.scenario.scenario import Network, Race


class Relayed:
    """A hub and three peers, connected by a running relay."""

    def __init__(self, network: PeerNetwork, race: Race, counts: Path, process: Any) -> None:
        self.network, self.race, self.process = network, race, process
        self._counts = counts

    @property
    def counts(self) -> dict[str, int]:
        found = relay.read_counts(self._counts)
        assert found is not None
        return found


@contextlib.contextmanager
def relayed(folder: Path, conditions_set: Network, seed: int = 1) -> Iterator[Relayed]:
    """Yield a network whose delay and loss come from a relay, even if the kernel has netem."""
    race = Race(swarm_size=3, network=conditions_set, seed=seed)
    fork, started = processes.context(), []
    with PeerNetwork(3, relayed=True) as network:
        for peer in network.peers:
            conditions.apply(network.ports, peer, race.network, seeder=False, relayed=True)

        def start(namespace: str, target: Any, config: Any) -> None:
            log = folder / "relay.log"
            started.append(processes.start(fork, "relay", log, namespace, target, config))

        try:
            DelayedNetwork(network, race, relayed=True).start(folder / "counts", start)
            yield Relayed(network, race, folder / "counts", started[0])
        finally:
            for process in started:
                process.kill()
                process.join()
