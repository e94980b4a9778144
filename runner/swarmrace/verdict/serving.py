"""The share of the payload that leechers served in a run, and their connections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from swarmrace.recording.records import PeerResult
from swarmrace.statistics.summary import middle
from swarmrace.verdict.runs import RunView, transfer_seconds

SENT = "payload_sent_bytes"
"""Name of the counter of sent payload among a peer's counters (`systems.abc.Counters`)."""
MAX_LOST_SHARE = 0.02
"""Maximum loss on the wire, as a share of what leechers received, for a share by wire."""


def leechers_share(view: RunView) -> float | None:
    """Return the share of the sent payload that leechers sent, by the systems' own counters.

    None if a peer of the run has no such counter, or nothing was sent.
    """
    peers = _whole(view)
    if not peers or any(SENT not in peer.counters for peer in peers):
        return None
    total = math.fsum(peer.counters[SENT] for peer in peers)
    leechers = math.fsum(peer.counters[SENT] for peer in peers if peer.role == "leecher")
    return leechers / total if total > 0 else None


def leechers_share_of_wire(view: RunView) -> float | None:
    """Return the share of the bytes received by leechers' interfaces that no seeder sent.

    Both sides include headers and duplicates. None if an interface was not measured, or if more was
    sent than arrived: the dropped bytes may be seeders' or leechers'.
    """
    peers = _whole(view)
    wires = [(peer.role, peer.wire) for peer in peers if peer.wire is not None]
    if not wires or len(wires) < len(peers):
        return None
    lost = sum(wire.sent_bytes - wire.received_bytes for _, wire in wires)
    received = sum(wire.received_bytes for role, wire in wires if role == "leecher")
    sent = sum(wire.sent_bytes for role, wire in wires if role == "seeder")
    if not received or lost > MAX_LOST_SHARE * received:
        return None
    return max(0.0, 1 - sent / received)


def connected_peers(view: RunView) -> float | None:
    """Return the median leecher's number of connections, averaged over its transfer."""
    known = [
        mean
        for peer in view.leechers()
        if math.isfinite(seconds := transfer_seconds(peer))
        and (mean := _mean_connections(peer, seconds)) is not None
    ]
    return middle(known) if known else None


def _mean_connections(peer: PeerResult, seconds: float) -> float | None:
    """Return a peer's connections averaged over the first `seconds` of the run."""
    if not peer.connected or seconds <= 0:
        return None
    ends = [*(min(entry.seconds, seconds) for entry in peer.connected), seconds]
    spans = [later - earlier for earlier, later in pairwise(ends)]
    if not sum(spans):
        return None
    counts = (entry.connections for entry in peer.connected)
    return math.fsum(s * n for s, n in zip(spans, counts, strict=True)) / sum(spans)


def _whole(view: RunView) -> Sequence[PeerResult]:
    """Return the records of all peers of a raced run; none if a record is missing or there is only
    one leecher, which has no other leecher to serve."""
    peers = list(view.record.peers.values())
    whole = len(peers) == len(view.record.run.seeders) + len(view.times)
    return peers if whole and len(view.times) > 1 else ()
