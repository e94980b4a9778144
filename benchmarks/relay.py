"""What the relay that stands in for netem does to delay, and how much it carries.

    python -m benchmarks.relay

Prints for each delay the median one way and what one sender gets through it, then the highest sum
of rates over four peers that the trial before a race accepts. On an otherwise idle machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from swarmrace.errors import ConditionError
from swarmrace.local import processes
from swarmrace.local.delaying import Delaying
from swarmrace.network import conditions
from swarmrace.network.namespaces import PeerNetwork
from swarmrace.scenario import Network, Race

DELAYS = (1, 5, 10, 50, 100)
MBIT_A_PEER = (50, 100, 150, 200, 250, 300, 400)
PEERS = 4


@contextmanager
def relayed(network: Network) -> Iterator[Delaying]:
    """Yield a network of four peers whose frames a relay delays."""
    race = Race(swarm_size=PEERS, network=network)
    fork, started = processes.context(), []
    with PeerNetwork(PEERS, relayed=True) as made, tempfile.TemporaryDirectory() as folder:
        for peer in made.peers:
            conditions.apply(made.ports, peer, network, seeder=False, relayed=True)

        def start(namespace: str, target: Any, config: Any) -> None:
            log = Path(folder) / "relay.log"
            started.append(processes.start(fork, "relay", log, namespace, target, config))

        delaying = Delaying(made, race, relayed=True)
        try:
            delaying.start(Path(folder) / "counts", start)
            yield delaying
        finally:
            for process in started:
                process.kill()
                process.join()


def main() -> None:
    """Measure and print."""
    print("delay set   one way    one sender gets through")
    for delay in DELAYS:
        with relayed(Network(delay_milliseconds=delay)) as delaying:
            found = delaying.measure()
        assert found.one_way_seconds is not None
        print(
            f"{delay:6} ms  {1000 * found.one_way_seconds:6.2f} ms  "
            f"{found.carried_rate / 1e6:6.1f} MB/s"
        )
    print(f"rates of {PEERS} peers in sum over 20 ms   carried")
    for each in MBIT_A_PEER:
        with relayed(Network(delay_milliseconds=20, upload=f"{each}Mbit")) as delaying:
            try:
                carried = f"{delaying.measure().carried_rate / 1e6:6.1f} MB/s"
            except ConditionError as error:
                carried = f"refused: {str(error).split(': ', 1)[1].split(';')[0]}"
        print(f"{PEERS * each / 8:6.1f} MB/s                    {carried}")


if __name__ == "__main__":
    main()
