"""Each run's number and its resolution, for every figure that is compared."""

from __future__ import annotations

import math
from collections.abc import Callable

from swarmrace.recording.records import PeerResult, Transfer
from swarmrace.statistics.summary import middle
from swarmrace.systems.abc import Observes
from swarmrace.verdict.figures import (
    mark_of_run,
    marks_of,
    publish_seconds,
    stall,
    variation,
    wire_of_all,
)
from swarmrace.verdict.ratios import ByBlock
from swarmrace.verdict.runs import RunView, complete, transfer_seconds
from swarmrace.verdict.sides import Side

Get = Callable[[RunView, Observes], tuple[float, float] | None]


def numbers(side: Side, get: Get) -> ByBlock:
    """Return the value of `get` for each run that isn't missing, by repetition."""
    found = {}
    for view in side.views:
        value = get(view, side.observes) if view.status != "missing" else None
        if value is not None:
            found[view.record.run.repetition] = value
    return found


def done(view: RunView, observes: Observes) -> tuple[float, float] | None:
    """Return a run's number: its median leecher's t100."""
    if view.number is None:
        return None
    known = [_done_resolution(transfer, observes) for _, transfer in _finished(view)]
    return view.number, middle(known) if known else 0.0


def done_resolution(side: Side) -> float | None:
    """Return the resolution of an entrant's t100: the median of its runs'."""
    known = [each for number, each in numbers(side, done).values() if math.isfinite(number)]
    return middle(known) if known else None


def last(view: RunView, observes: Observes) -> tuple[float, float] | None:
    """Return the last leecher's t100."""
    if view.last is None:
        return None
    _, last = max(_finished(view), key=lambda each: each[0], default=(0.0, None))
    return view.last, _done_resolution(last, observes) if last is not None else 0.0


def mark_number(kind: str, percent: float) -> Get:
    """Return a function that gets the median leecher's mark."""

    def get(view: RunView, _: Observes) -> tuple[float, float] | None:
        number = mark_of_run(view, kind, percent)
        return None if number is None else (number, _mark_resolution(view, kind, percent))

    return get


def publish(view: RunView, _: Observes) -> tuple[float, float] | None:
    """Return the first seeder's publish time."""
    seconds = publish_seconds(view)
    return None if seconds is None else (seconds, 0.0)


def wire_sent(view: RunView, _: Observes) -> tuple[float, float] | None:
    """Return the bytes that all peers sent, in a complete run in which every interface was read."""
    if not complete(view) or not wire_of_all(view):
        return None
    wires = [peer.wire for peer in view.record.peers.values() if peer.wire is not None]
    return float(sum(wire.sent_bytes for wire in wires)), 0.0


def stall_number(kind: str) -> Get:
    """Return a function that gets a run's longest stall. One failed transfer makes it infinite;
    otherwise a transfer would look steady because it ended early."""

    def get(view: RunView, _: Observes) -> tuple[float, float] | None:
        known = [stall(peer, kind) for peer in view.leechers()]
        if view.status == "failed" or not all(map(math.isfinite, view.times)):
            return math.inf, 0.0
        if not known or None in known:
            return None
        longest = max(value for value in known if value is not None)
        return longest, _mark_resolution(view, kind, 100)

    return get


def variation_number(kind: str) -> Get:
    """Return a function that gets a run's variation, which is infinite if the run failed."""

    def get(view: RunView, _: Observes) -> tuple[float, float] | None:
        def known(peer: PeerResult) -> float | None:
            return variation(peer, kind) if transfer_seconds(peer) < math.inf else None

        number = math.inf if view.status == "failed" else view.median_leecher(known)
        return None if number is None else (number, 0.0)

    return get


def _finished(view: RunView) -> list[tuple[float, Transfer]]:
    """Return time and transfer of each leecher that finished."""
    found = ((transfer_seconds(peer), peer.transfer) for peer in view.leechers())
    return [
        (seconds, transfer)
        for seconds, transfer in found
        if transfer is not None and seconds < math.inf
    ]


def _done_resolution(transfer: Transfer, observes: Observes) -> float:
    """Return the resolution of a transfer's t100. For format 1, it is the finer resolution of its
    marks at 100 %, or the poll interval if the system shows no bytes."""
    if transfer.done_resolution_seconds is not None:
        return transfer.done_resolution_seconds
    marks = [
        mark
        for mark in (*transfer.arrival, *transfer.written, *transfer.delivery)
        if mark.percent == 100
    ]
    return min((mark.resolution_seconds for mark in marks), default=observes.poll_seconds)


def _mark_resolution(view: RunView, kind: str, percent: float) -> float:
    """Return the resolution of a run's mark: the median over its finished leechers."""
    key = (kind, percent)
    if key not in view.resolutions:
        known = [
            mark.resolution_seconds
            for peer in view.leechers()
            if transfer_seconds(peer) < math.inf
            for mark in marks_of(peer, kind)
            if mark.percent == percent
        ]
        view.resolutions[key] = middle(known) if known else 0.0
    return view.resolutions[key]
