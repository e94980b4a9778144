"""Check that a run's wire bytes add up: in a closed network, every byte that a peer sent was
received, was dropped where drops are counted, or went to the tracker."""

from __future__ import annotations

from collections.abc import Iterator

from swarmrace.recording.records import PeerResult, RunResult
from swarmrace.results.folder import Results
from swarmrace.units import format_size
from swarmrace.verdict.model import Flag

SHARE = 0.01
MIN_BYTES = 100_000
"""Tolerance: this share of the bytes sent, or this many bytes, whichever is larger."""
FRAME_BYTES = 1514
"""The largest frame (MTU 1500). Drops are counted in frames, so this bounds their bytes."""
BROADCAST_BYTES = 60
"""An ARP request: sent once, received by every peer."""


def closure_flags(results: Results) -> Iterator[Flag]:
    """Yield a flag for each raced run whose wire bytes don't add up."""
    local = results.info.backend.startswith("local")
    size = results.scenario.race.swarm_size
    for record in results.runs:
        peers = list(record.peers.values())
        whole = len(peers) == size and all(peer.wire is not None for peer in peers)
        if record.result is None or record.result.status != "raced" or not whole:
            continue
        fault = _fault(peers, record.result, drops_are_counted=local)
        if fault:
            yield Flag(entrant=record.run.entrant, text=f"{record.run.id}: {fault}")


def _fault(peers: list[PeerResult], result: RunResult, *, drops_are_counted: bool) -> str:
    wires = [peer.wire for peer in peers if peer.wire is not None]
    sent, received = sum(w.sent_bytes for w in wires), sum(w.received_bytes for w in wires)
    tracker = sum(
        peer.counters.get("tracker_sent_bytes", 0) - peer.counters.get("tracker_received_bytes", 0)
        for peer in peers
    )
    frames = sum(w.dropped_packets or 0 for w in wires)
    frames += sum(result.relay.get(name, 0) for name in ("lost", "overflowed", "limited"))
    missing, max_dropped = sent - received - tracker, frames * FRAME_BYTES
    tolerance = max(SHARE * sent, MIN_BYTES)
    totals = f"peers sent {format_size(sent)} and received {format_size(received)} on the wire"
    if missing < -tolerance - BROADCAST_BYTES * len(wires) ** 3:
        return f"{totals}: more was received than sent, so these figures are wrong"
    if drops_are_counted and missing > max_dropped + tolerance:
        dropped = f", and {frames} frames were dropped" if frames else ""
        return f"{totals}{dropped}: {format_size(missing - max_dropped)} are unaccounted for"
    return ""
