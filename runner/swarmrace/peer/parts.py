"""What a peer's runs and trials share for the peer's whole life."""

from __future__ import annotations

from collections.abc import Callable

from swarmrace import systems
from swarmrace.clock import Clock
from swarmrace.host import machine
from swarmrace.network.counters import own_interface
from swarmrace.network.wire_recorder import WireRecorder
from swarmrace.network.wire_samples import Ring
from swarmrace.peer.slot import SystemSlot
from swarmrace.peer.state import PeerConfig, PeerState, ResultSink
from swarmrace.rendezvous.client.client import RendezvousClient


class PeerParts:
    """A peer's configuration, clock, client, state, sink and system slot.

    Args:
        config: who the peer is.
        clock: the clock of every measurement.
        client: the peer's side of the rendezvous.
        sink: receives every finished run.
    """

    def __init__(
        self, config: PeerConfig, clock: Clock, client: RendezvousClient, sink: ResultSink
    ) -> None:
        self.config, self.clock, self.client, self.sink = config, clock, client, sink
        self.state = PeerState(config)
        self.slot = SystemSlot(config, self.state, client, clock)
        kinds = (options.kind for options in config.scenario.entrants.values())
        self.versions = machine.versions(systems.packages(kinds))
        self.control: list[Callable[[], tuple[int, int]]] = [client.control_bytes]
        """Returns wire bytes (sent, received). Other parts of the runner that use the peer's
        interface (a scraper, say) add theirs."""

    def control_bytes(self) -> tuple[int, int]:
        """Return the wire bytes (sent, received) of the runner's own traffic so far."""
        found = [source() for source in self.control]
        return sum(sent for sent, _ in found), sum(received for _, received in found)

    def wire_recorder(self) -> WireRecorder | None:
        """Return a recorder of this peer's wire curve, or None if it can't be recorded."""
        config = self.config
        if not config.isolated:
            return None

        def control_received() -> int:
            return self.control_bytes()[1]

        try:
            if config.wire_samples is not None:
                path, column = config.wire_samples
                return WireRecorder(Ring.shared(path), column, control_received)
            interface = own_interface(config.address)
            return WireRecorder.own(interface, control_received) if interface else None
        except OSError:
            return None
