"""Each run's number and what is unknown of it, for whatever is compared."""

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
    """Return what `get` finds in each run that isn't missing, by repetition."""
    found = {}
    for view in side.views:
        value = get(view, side.observes) if view.status != "missing" else None
        if value is not None:
            found[view.record.run.repetition] = value
    return found


def done(view: RunView, observes: Observes) -> tuple[float, float] | None:
    """A run's number: its median leecher's t100."""
    if view.number is None:
        return None
    known = [_of_done(transfer, observes) for _, transfer in _finished(view)]
    return view.number, middle(known) if known else 0.0


def done_resolution(side: Side) -> float | None:
    """Return what is unknown of an entrant's t100: the median of its runs'."""
    known = [each for number, each in numbers(side, done).values() if math.isfinite(number)]
    return middle(known) if known else None


def last(view: RunView, observes: Observes) -> tuple[float, float] | None:
    """The last leecher's t100."""
    if view.last is None:
        return None
    _, last = max(_finished(view), key=lambda each: each[0], default=(0.0, None))
    return view.last, _of_done(last, observes) if last is not None else 0.0


def mark_number(kind: str, percent: float) -> Get:
    """Return what finds the median leecher's mark."""

    def get(view: RunView, _: Observes) -> tuple[float, float] | None:
        number = mark_of_run(view, kind, percent)
        return None if number is None else (number, _of_mark(view, kind, percent))

    return get


def publish(view: RunView, _: Observes) -> tuple[float, float] | None:
    """The first seeder's publish."""
    seconds = publish_seconds(view)
    return None if seconds is None else (seconds, 0.0)


def wire_sent(view: RunView, _: Observes) -> tuple[float, float] | None:
    """Bytes that all peers sent, of a complete run in which every interface was read."""
    if not complete(view) or not wire_of_all(view):
        return None
    wires = [peer.wire for peer in view.record.peers.values() if peer.wire is not None]
    return float(sum(wire.sent_bytes for wire in wires)), 0.0


def stall_number(kind: str) -> Get:
    """Return what finds a run's longest stall. One failed transfer makes it infinite: it would look
    steady by having ended early."""

    def get(view: RunView, _: Observes) -> tuple[float, float] | None:
        known = [stall(peer, kind) for peer in view.leechers()]
        if view.status == "failed" or not all(map(math.isfinite, view.times)):
            return math.inf, 0.0
        if not known or None in known:
            return None
        return max(value for value in known if value is not None), _of_mark(view, kind, 100)

    return get


def variation_number(kind: str) -> Get:
    """Return what finds a run's variation: infinite where the run has failed."""

    def get(view: RunView, _: Observes) -> tuple[float, float] | None:
        def known(peer: PeerResult) -> float | None:
            return variation(peer, kind) if transfer_seconds(peer) < math.inf else None

        number = math.inf if view.status == "failed" else view.median_leecher(known)
        return None if number is None else (number, 0.0)

    return get


def _finished(view: RunView) -> list[tuple[float, Transfer]]:
    """Return time and transfer of each leecher that finished."""
    return [
        (transfer_seconds(peer), peer.transfer)
        for peer in view.leechers()
        if peer.transfer is not None and transfer_seconds(peer) < math.inf
    ]


def _of_done(transfer: Transfer, observes: Observes) -> float:
    """Return what is unknown of a transfer's t100; as format 1 has it, the finer of its marks at
    100 %, or of a system that shows no bytes the poll interval."""
    if transfer.done_resolution_seconds is not None:
        return transfer.done_resolution_seconds
    marks = [
        mark
        for mark in (*transfer.arrival, *transfer.written, *transfer.delivery)
        if mark.percent == 100
    ]
    return min((mark.resolution_seconds for mark in marks), default=observes.poll_seconds)


def _of_mark(view: RunView, kind: str, percent: float) -> float:
    """Return the resolution of a run's mark: its finished leechers' median."""
    known = [
        mark.resolution_seconds
        for peer in view.leechers()
        if transfer_seconds(peer) < math.inf
        for mark in marks_of(peer, kind)
        if mark.percent == percent
    ]
    return middle(known) if known else 0.0
