"""How exactly the relay, which replaces netem, delays packets, and how much it carries.

    python -m benchmarks.relay

For each delay it prints the median one-way delay and the rate of one sender; then, for several
rates of four peers, the carried rate, or that the trial before a race refuses it. Run it on an
otherwise idle machine.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from swarmrace.backends.local import processes
from swarmrace.backends.local.delaying import DelayedNetwork
from swarmrace.errors import ConditionError
from swarmrace.network import conditions
from swarmrace.network.namespaces import PeerNetwork
from swarmrace.scenario.scenario import Network, Race

DELAYS = (1, 5, 10, 50, 100)
MBIT_PER_PEER = (50, 100, 150, 200, 250, 300, 400)
PEERS = 4


@contextmanager
def relayed(network: Network) -> Iterator[DelayedNetwork]:
    """Yield a network of four peers with a relay that delays their frames."""
    race = Race(swarm_size=PEERS, network=network)
    fork, started = processes.context(), []
    with PeerNetwork(PEERS, relayed=True) as made, tempfile.TemporaryDirectory() as folder:
        for peer in made.peers:
            conditions.apply(made.ports, peer, network, seeder=False, relayed=True)

        def start(namespace: str, target: Any, config: Any) -> None:
            log = Path(folder) / "relay.log"
            started.append(processes.start(fork, "relay", log, namespace, target, config))

        delayed = DelayedNetwork(made, race, relayed=True)
        try:
            delayed.start(Path(folder) / "counts", start)
            yield delayed
        finally:
            for process in started:
                process.kill()
                process.join()


@click.command()
@click.option("--delay", "delays", multiple=True, type=int, default=DELAYS, show_default=True)
@click.option("--mbit", "rates", multiple=True, type=int, default=MBIT_PER_PEER, show_default=True)
def main(delays: tuple[int, ...], rates: tuple[int, ...]) -> None:
    """Measure; print one JSON object per line."""
    for delay in delays:
        with relayed(Network(delay_milliseconds=delay)) as delayed:
            found = delayed.measure()
        assert found.one_way_seconds is not None
        _print(f"{delay} ms set, one way", round(1000 * found.one_way_seconds, 2), "ms")
        _print(f"{delay} ms set, one sender", round(found.carried_rate / 1e6, 1), "MB/s")
    for rate in rates:
        name = f"{PEERS} peers of {rate} Mbit/s over 20 ms"
        with relayed(Network(delay_milliseconds=20, upload=f"{rate}Mbit")) as delayed:
            try:
                _print(name, round(delayed.measure().carried_rate / 1e6, 1), "MB/s")
            except ConditionError as error:
                _print(f"{name}: refused ({error})", 0, "MB/s")


def _print(name: str, value: float, unit: str) -> None:
    print(json.dumps({"name": name, "value": value, "unit": unit}), flush=True)


if __name__ == "__main__":
    main()
