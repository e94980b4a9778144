"""A curve at every whole percent, stored with each transfer.

Reports and exports draw curves from these 101 numbers without opening an npz.
"""

from __future__ import annotations

import numpy as np

from swarmrace.recording.arrivals import Curve, Int64s
from swarmrace.recording.records import Percents

WHOLE = np.arange(101)


def percents_of(
    curve: Curve, poll_seconds: float, end_ns: int | None = None, *, behind_seconds: float = 0.0
) -> Percents:
    """Return the time to each whole percent of the payload that was reached, and the longest stall.

    Args:
        curve: of arrival, of what was written, or of the deliverable prefix.
        poll_seconds: added to each resolution of a curve whose totals aren't sampled (those of a
            sampled one already include the gap between two samples).
        end_ns: when the transfer ended, done or not: see `Curve.longest_stall`.
        behind_seconds: added to each resolution, whatever the curve.
    """
    counts = _counts(curve.size_bytes)
    counts = counts[counts <= curve.total_bytes]
    at = np.searchsorted(np.cumsum(curve.length), counts)
    t_ns = curve.t_ns[at]
    if curve.since_ns is None:
        unknown_ns, added = np.full(len(t_ns), curve.pace_ns), poll_seconds
    else:
        unknown_ns, added = t_ns - curve.since_ns[at], 0.0
    added += behind_seconds
    stall = curve.longest_stall(end_ns)
    stalled = stall.length_ns > 0
    return Percents(
        seconds=(t_ns / 1e9).tolist(),
        resolution_seconds=(np.clip(unknown_ns, 0, np.maximum(t_ns, 0)) / 1e9 + added).tolist(),
        stall_began_seconds=stall.began_ns / 1e9 if stalled else None,
        stall_seconds=stall.length_ns / 1e9,
        stall_resolution_seconds=stall.resolution_ns / 1e9 + added,
    )


def wire_percents(t_ns: Int64s, received: Int64s, total: int) -> Percents:
    """Return the time to each whole percent of what an interface had received until done.

    Args:
        t_ns: instants of the samples since the leecher's start stamp, rising.
        received: bytes received by then, never falling.
        total: bytes received until the transfer was done.
    """
    at = np.searchsorted(received, _counts(total))
    at = np.clip(at, 1, len(t_ns) - 1)
    until = int(np.searchsorted(received, total))
    held = np.concatenate(([0], np.flatnonzero(np.diff(received[: until + 1])) + 1))
    gaps = np.diff(t_ns[held])
    # The time before the first byte is no stall.
    longest = int(np.argmax(gaps[1:])) + 1 if len(gaps) > 1 else None
    return Percents(
        seconds=(t_ns[at] / 1e9).tolist(),
        resolution_seconds=((t_ns[at] - t_ns[at - 1]) / 1e9).tolist(),
        stall_began_seconds=None if longest is None else int(t_ns[held[longest]]) / 1e9,
        stall_seconds=0.0 if longest is None else int(gaps[longest]) / 1e9,
        stall_resolution_seconds=0.0
        if longest is None
        else int(t_ns[held[longest + 1]] - t_ns[held[longest + 1] - 1]) / 1e9,
    )


def _counts(size_bytes: int) -> Int64s:
    """Return how many bytes make each whole percent, as `arrivals.bytes_of_percent` does."""
    return np.maximum(1, -(-size_bytes * WHOLE // 100))
