"""The curve of arrival where a system's total is sampled: what else is known of it, put together.

A byte that has been written has arrived. And what an interface has received bounds what may have
come in a while: of a total that was true at one instant, at most so much came since an earlier one.
So at any instant at least as much had arrived as the samples show, as had been written, and as was
there later less what the interface received in between. These are put together afterwards; nothing
is added to the hot path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from swarmrace.recording.arrivals import ByteLog, Curve, Int64s
from swarmrace.recording.samples import READ_NS, SampledLog, Samples


class Known(NamedTuple):
    """Bytes that had arrived by some instants; both columns rise."""

    t_ns: Int64s
    total: Int64s
    since_ns: Int64s | None = None
    """Where `t_ns` are samples: the sample before each."""


def arrival_curve(
    arrivals: ByteLog,
    written: ByteLog | None,
    start_ns: int,
    size_bytes: int,
    wire: Samples | None = None,
) -> Curve:
    """Return the curve of arrival from `start_ns` on, in which nothing is written before it came.

    Args:
        arrivals: the system's log of what it received. One that is not sampled is taken as it is:
            each of its records was stamped when it happened.
        written: the system's log of what it wrote, where it has one.
        start_ns: instant 0 of the curve.
        size_bytes: the payload's size.
        wire: what the leecher's own interface received, where it has one.
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
        known.append(by_wire(Samples(wire.t_ns - start_ns, wire.received), shown))
    known = [each for each in known if len(each.t_ns)]
    return at_least(curve, known, arrivals.looks(start_ns)) if known else curve


def by_wire(wire: Samples, shown: Sequence[Known]) -> Known:
    """Return what had arrived at the samples of an interface.

    What `shown` has at one instant was there at an earlier one, but for what the interface received
    in between, whatever that was: payload, headers, or bytes that never count.

    Args:
        wire: bytes received by the interface.
        shown: the system's own totals.
    """
    t_ns, received = wire
    most = np.full(len(t_ns) + 1, np.iinfo(np.int64).min)
    for each in shown:
        # What the interface had received by then is what the next sample shows, or less.
        after = np.searchsorted(t_ns, each.t_ns + READ_NS)
        there = after < len(t_ns)
        at = np.searchsorted(t_ns, each.t_ns[there], side="right")
        # It holds for the samples before that instant: for number `at - 1` and all before.
        np.maximum.at(most, at, each.total[there] - received[after[there]])
    lead = np.maximum.accumulate(most[::-1])[::-1][1:]
    known = lead > np.iinfo(np.int64).min
    total = np.maximum.accumulate(np.maximum(0, lead[known] + received[known]))
    times, before = t_ns[known], np.concatenate((t_ns[:1], t_ns[:-1]))[known]
    grew = np.diff(total, prepend=0) > 0
    return Known(times[grew], total[grew], before[grew])


def at_least(sampled: Curve, known: Sequence[Known], looks: tuple[Int64s, Int64s]) -> Curve:
    """Return the curve that is at every instant the highest one of several.

    Its record of a total has the earliest of their instants. It is last known not to be there when
    the last sample that shows less was asked for; where the interface showed it, not later than the
    interface's sample before. So a mark moves forward, and a stall ends at a sample that shows no
    more than what had come before the stall.

    Args:
        sampled: totals that were sampled.
        known: what else had arrived when.
        looks: of every sample, when it was asked for and the total that held at it; both rise.
    """
    asked, held = looks
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
    # Of totals that came at one instant the last says all.
    last = np.ones(len(totals), dtype=bool)
    last[:-1] = (np.diff(t_ns) > 0) | (np.diff(since_ns) > 0)
    totals, t_ns, since_ns = totals[last], t_ns[last], since_ns[last]
    offset = np.concatenate(([0], totals[:-1]))[: len(totals)]
    return Curve(
        offset, totals - offset, t_ns, sampled.size_bytes, offsets_known=False, since_ns=since_ns
    )
