"""Who a peer is, and what it is doing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """Hash of the Helm release: on a cluster, the label `race` of metrics."""
    node: str = ""
    isolated: bool = False
    """Whether this peer has its own network interface to measure."""
    keeps: bool = True
    """Whether this peer keeps its uploads for a rendezvous that returns without its folder. Not
    needed if that folder is certain to outlive the rendezvous."""
    wire_samples: tuple[Path, int] | None = None
    """The file in which one sampler stores what every peer of the machine receives, and this
    peer's column in it (`network.wire_samples`). If None, an isolated peer samples its own
    interface."""
    burst_bytes: int | None = None
    """Burst size of this peer's rate limiter, in bytes, if that isn't tc."""
    machine: Mapping[str, Any] | None = None
    """The machine (`host.machine`), if it was described before all peers of this machine started;
    None: the peer describes it."""


@dataclass
class PeerState:
    """What a peer is doing, for heartbeats, metrics and logs. Only the peer writes it."""

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
    """Receives finished runs outside the measured window, to push them, say. This one does
    nothing."""

    async def finished(
        self, state: PeerState, result: PeerResult, curves: Mapping[str, Curve]
    ) -> None:
        """Called after the run's results were accepted and before the peers meet again."""
