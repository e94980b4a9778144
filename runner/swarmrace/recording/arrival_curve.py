"""The curve of arrival if a system's total is sampled, combined with everything else known of it.

A byte that has been written has arrived. And what the interface received in an interval is an upper
bound of what arrived in it. So at any instant at least as much had arrived as the samples show, as
had been written, and as a later total shows less what the interface received in between. These are
combined after the transfer; nothing is added to the hot path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from swarmrace.recording.arrivals import ByteLog, Curve, Int64s
from swarmrace.recording.samples import READ_NS, SampledLog, Samples


class Known(NamedTuple):
    """Bytes known to have arrived by some instants; both columns rise."""

    t_ns: Int64s
    total: Int64s
    since_ns: Int64s | None = None
    """If `t_ns` are samples: the instant of the sample before each."""


def arrival_curve(
    arrivals: ByteLog,
    written: ByteLog | None,
    start_ns: int,
    size_bytes: int,
    wire: Samples | None = None,
) -> Curve:
    """Return the curve of arrival from `start_ns` on, in which no byte is written before it came.

    Args:
        arrivals: the system's log of what it received. A log that isn't sampled is used as it is:
            each of its records was stamped when it happened.
        written: the system's log of what it wrote, if it has one.
        start_ns: instant 0 of the curve.
        size_bytes: the payload's size.
        wire: what the leecher's own interface received, if it has one.
    """
    curve = arrivals.curve(start_ns, size_bytes)
    if not isinstance(arrivals, SampledLog):
        return curve
    known = [Known(*arrivals.had_reached(start_ns))]
    if written is not None:
        wrote = written.curve(start_ns, size_bytes)
        known.append(Known(wrote.t_ns, np.cumsum(wrote.length)))
    if wire is not None and len(wire.t_ns):
        shown = [Known(curve.t_ns, np.cumsum(curve.length)), *known]
        known.append(known_by_wire(Samples(wire.t_ns - start_ns, wire.received), shown))
    known = [each for each in known if len(each.t_ns)]
    return upper_envelope(curve, known, arrivals.requests(start_ns)) if known else curve


def known_by_wire(wire: Samples, shown: Sequence[Known]) -> Known:
    """Return the minimum that had arrived at each sample of an interface.

    A total that `shown` has at one instant had arrived at an earlier one, less what the interface
    received in between, whatever that was: payload, headers, or bytes that never count.

    Args:
        wire: bytes received by the interface.
        shown: the system's own totals.
    """
    t_ns, received = wire
    highest = np.full(len(t_ns) + 1, np.iinfo(np.int64).min)
    for each in shown:
        # By then the interface had received at most what its next sample shows.
        after = np.searchsorted(t_ns, each.t_ns + READ_NS)
        has_next = after < len(t_ns)
        at = np.searchsorted(t_ns, each.t_ns[has_next], side="right")
        # This applies to the samples up to that instant: number `at - 1` and all before it.
        np.maximum.at(highest, at, each.total[has_next] - received[after[has_next]])
    lead = np.maximum.accumulate(highest[::-1])[::-1][1:]
    known = lead > np.iinfo(np.int64).min
    total = np.maximum.accumulate(np.maximum(0, lead[known] + received[known]))
    times, before = t_ns[known], np.concatenate((t_ns[:1], t_ns[:-1]))[known]
    grew = np.diff(total, prepend=0) > 0
    return Known(times[grew], total[grew], before[grew])


def upper_envelope(
    sampled: Curve, known: Sequence[Known], requests: tuple[Int64s, Int64s]
) -> Curve:
    """Return the upper envelope of several curves.

    Each total is stamped with the earliest instant that any of them has for it. It is last known
    not to have been reached when the last sample with a lower total was asked for; if the interface
    showed it, no later than the interface's sample before. So marks become earlier, and a stall
    ends at a sample that shows no more than had come before the stall.

    Args:
        sampled: totals that were sampled.
        known: what else is known to have arrived by when.
        requests: for every sample, when it was asked for and the total at that time; both rise.
    """
    asked, held = requests
    never = np.iinfo(np.int64).max
    every = [Known(sampled.t_ns, np.cumsum(sampled.length)), *known]
    totals = np.unique(np.concatenate([each.total for each in every]))
    before = np.searchsorted(held, totals) - 1
    first_ns = min(0, int(asked[0])) if len(asked) else 0
    since_ns = np.where(before < 0, first_ns, asked[before] if len(asked) else first_ns)
    t_ns = np.full(len(totals), never)
    for each in every:
        at = np.searchsorted(each.total, totals)
        shown_ns = np.append(each.t_ns, never)[at]
        if each.since_ns is not None:
            since_ns = np.where(
                shown_ns < t_ns, np.minimum(since_ns, np.append(each.since_ns, 0)[at]), since_ns
            )
        t_ns = np.minimum(t_ns, shown_ns)
    since_ns = np.minimum(since_ns, t_ns)
    # Of totals with the same instants only the last is needed.
    last = np.ones(len(totals), dtype=bool)
    last[:-1] = (np.diff(t_ns) > 0) | (np.diff(since_ns) > 0)
    totals, t_ns, since_ns = totals[last], t_ns[last], since_ns[last]
    offset = np.concatenate(([0], totals[:-1]))[: len(totals)]
    return Curve(
        offset, totals - offset, t_ns, sampled.size_bytes, offsets_known=False, since_ns=since_ns
    )
