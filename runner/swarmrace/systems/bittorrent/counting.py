"""libtorrent's session statistics as the counters of a run."""

from __future__ import annotations

from collections.abc import Mapping

from swarmrace.systems.abc import Counters


def counters_of(stats: Mapping[str, int]) -> Counters:
    """Return a session's counters; they are unknown as long as there are no statistics."""
    if not stats:
        return Counters()
    return Counters(
        sent_bytes=stats["net.sent_bytes"],
        received_bytes=stats["net.recv_bytes"],
        connections=stats["peer.num_peers_connected"],
        payload_sent_bytes=stats["net.sent_payload_bytes"],
        payload_received_bytes=stats["net.recv_payload_bytes"],
        extra={
            "redundant_bytes": stats["net.recv_redundant_bytes"],
            "failed_bytes": stats["net.recv_failed_bytes"],
            "tracker_sent_bytes": stats["net.sent_tracker_bytes"],
            "tracker_received_bytes": stats["net.recv_tracker_bytes"],
            "pieces_passed": stats["ses.num_piece_passed"],
            "pieces_failed": stats["ses.num_piece_failed"],
        },
    )


def since(base: Counters, now: Counters) -> Counters:
    """Return what was counted since `base`; connections are those of now."""

    def difference(value: int | None, before: int | None) -> int | None:
        return None if value is None else value - (before or 0)

    return Counters(
        sent_bytes=difference(now.sent_bytes, base.sent_bytes),
        received_bytes=difference(now.received_bytes, base.received_bytes),
        connections=now.connections,
        payload_sent_bytes=difference(now.payload_sent_bytes, base.payload_sent_bytes),
        payload_received_bytes=difference(now.payload_received_bytes, base.payload_received_bytes),
        extra={name: value - base.extra.get(name, 0) for name, value in now.extra.items()},
    )
