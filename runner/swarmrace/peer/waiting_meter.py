"""What a peer uses while others race."""

from __future__ import annotations

import os

from swarmrace.host.usage import UsageMeter
from swarmrace.network.counters import WireMeter
from swarmrace.peer.parts import PeerParts
from swarmrace.recording.records import Waiting


class WaitingMeter:
    """CPU and wire bytes of this peer while others race."""

    def __init__(self, peer: PeerParts) -> None:
        self._clock = peer.clock
        self._began_ns = self._clock.now_ns()
        self._control_bytes = peer.control_bytes
        self._control_began = sum(peer.control_bytes())

        def pids() -> list[int]:
            system = peer.state.system
            return sorted({os.getpid(), *(system.processes() if system is not None else ())})

        self._usage = UsageMeter(pids)
        self._wire = (
            WireMeter(peer.control_bytes, peer.config.address) if peer.config.isolated else None
        )
        self._usage.start()
        self._usage.watch()
        if self._wire is not None:
            self._wire.start()

    def stop(self) -> Waiting:
        """Return what was used since the meter was made."""
        wire = self._wire.stop() if self._wire is not None else None
        return Waiting(
            seconds=(self._clock.now_ns() - self._began_ns) / 1e9,
            cpu_seconds=self._usage.stop().cpu_seconds,
            wire_bytes=None if wire is None else wire.sent_bytes + wire.received_bytes,
            control_bytes=sum(self._control_bytes()) - self._control_began,
        )
