"""The curve of arrival where totals are sampled and writes are stamped one by one.

A byte that has been written has arrived. So at any instant at least as much had arrived as the
samples show, and as much as had been written. The two logs are put together afterwards; nothing
is added to the hot path.
"""

from __future__ import annotations

import numpy as np

from swarmrace.recording.arrivals import ByteLog, Curve
from swarmrace.recording.samples import SampledLog


def arrival_curve(
    arrivals: ByteLog, written: ByteLog | None, start_ns: int, size_bytes: int
) -> Curve:
    """Return the curve of arrival from `start_ns` on, in which nothing is written before it came.

    Args:
        arrivals: the system's log of what it received. One that is not sampled is taken as it is:
            each of its records was stamped when it happened.
        written: the system's log of what it wrote, where it has one.
        start_ns: instant 0 of the curve.
        size_bytes: the payload's size.
    """
    curve = arrivals.curve(start_ns, size_bytes)
    if written is None or not isinstance(arrivals, SampledLog):
        return curve
    return at_least(curve, written.curve(start_ns, size_bytes), arrivals.looks(start_ns))


def at_least(sampled: Curve, written: Curve, looks: tuple[np.ndarray, np.ndarray]) -> Curve:
    """Return the curve that is at every instant the higher one of the two.

    Its record of a total stands at the earlier of two instants: the sample that first showed the
    total, and the write that reached it. It is last known not to be there when the last sample
    that shows less was asked for. So a write moves a mark forward and narrows its resolution, and
    a stall ends at a sample that shows no more than what had come before the stall.

    Args:
        sampled: totals that were sampled.
        written: records that were stamped as they happened.
        looks: of every sample, when it was asked for and the total that held at it; both rise.
    """
    asked, held = looks
    reached = [np.cumsum(curve.length) for curve in (sampled, written)]
    totals = np.union1d(*reached)
    never = np.iinfo(np.int64).max
    shown_ns, wrote_ns = (
        np.append(curve.t_ns, never)[np.searchsorted(counts, totals)]
        for curve, counts in zip((sampled, written), reached, strict=True)
    )
    t_ns = np.minimum(shown_ns, wrote_ns)
    before = np.searchsorted(held, totals) - 1
    first_ns = min(0, int(asked[0])) if len(asked) else 0
    since_ns = np.where(before < 0, first_ns, asked[before] if len(asked) else first_ns)
    since_ns = np.minimum(since_ns, t_ns)
    # Of totals that came at one instant the last says all.
    last = np.ones(len(totals), dtype=bool)
    last[:-1] = (np.diff(t_ns) > 0) | (np.diff(since_ns) > 0)
    totals, t_ns, since_ns = totals[last], t_ns[last], since_ns[last]
    offset = np.concatenate(([0], totals[:-1]))[: len(totals)]
    return Curve(
        offset, totals - offset, t_ns, sampled.size_bytes, offsets_known=False, since_ns=since_ns
    )
