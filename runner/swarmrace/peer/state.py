"""Who a peer is, and what it is doing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from swarmrace.recording.arrivals import Curve
from swarmrace.recording.records import PeerResult, Usage, Wire
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.abc import Record, System
from swarmrace.systems.run import Run


@dataclass(frozen=True)
class PeerConfig:
    """Who this peer is and where it finds the rendezvous."""

    scenario: Scenario
    race_id: str
    entrant: str
    peer: int
    rendezvous: str
    """Base URL, without the race id."""
    address: str
    """The IP address that this peer's system listens on and announces."""
    work_dir: Path
    token: str | None = None
    release_hash: str = ""
    """Of the Helm release; it is the label `race` of metrics on a cluster."""
    node: str = ""
    isolated: bool = False
    """Whether this peer has a network interface of its own to measure."""
    keeps: bool = True
    """Whether uploads are kept for a rendezvous that returns without its folder. Needless where
    that folder outlives it for certain."""
    wire_samples: tuple[Path, int] | None = None
    """Where one sampler for all peers of the machine puts what they receive, and this peer's
    column (`network.wire_samples`). When absent, an isolated peer samples its own interface."""
    burst_bytes: int | None = None
    """Most bytes that what limits this peer's rates may let pass at once, where that is not tc."""


@dataclass
class PeerState:
    """What a peer is doing, for heartbeats, metrics and logs. Written by `Peer`, read by anyone."""

    config: PeerConfig
    stage: str = "wait"
    run: Run | None = None
    record: Record | None = None
    start_ns: int | None = None
    """This leecher's start stamp in the current run."""
    system: System | None = None
    wire: Callable[[], Wire | None] | None = None
    """Returns the wire bytes of the current run so far; set from its common start on."""
    usage: Callable[[], Usage] | None = None
    """Returns CPU and memory of the current run so far; set from its common start on."""

    @property
    def progress_bytes(self) -> int:
        """Payload bytes of the current run so far."""
        return self.record.progress_bytes if self.record is not None else 0


class ResultSink:
    """What may follow a finished run outside the measured window (a push, say). Does nothing."""

    async def finished(
        self, state: PeerState, result: PeerResult, curves: Mapping[str, Curve]
    ) -> None:
        """Called after the run's results were accepted and before the peers meet again."""
