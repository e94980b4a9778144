"""One leecher's transfer: from the start stamp to done, watched by the scenario's timeouts.

The watch (`transfer_watch`) is the same for every system, so that a transfer that hangs without an
error still ends as a result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from swarmrace.errors import Reason, TransferError
from swarmrace.host.infrastructure import FULL
from swarmrace.host.priority import raised_priority
from swarmrace.peer.transfer_watch import AFTER_DONE_SECONDS, TransferWatch
from swarmrace.recording.arrival_curve import arrival_curve
from swarmrace.recording.arrivals import Curve
from swarmrace.recording.percents import percents_of
from swarmrace.recording.records import CURVES, MARK_PERCENTS, Failure, Mark, Percents, Transfer
from swarmrace.recording.samples import Samples
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems.abc import Observes, Record, Reference, System

Blame = Callable[[Failure, BaseException | None], Failure]

_TICK_SECONDS = 0.1


def failure_of(error: BaseException, stage: str) -> Failure:
    """Return the recorded failure of an exception in `stage`."""
    if isinstance(error, TransferError):
        return Failure(reason=error.reason, stage=stage, detail=error.detail)
    if isinstance(error, TimeoutError):
        return Failure(reason=Reason.TIMEOUT, stage=stage, detail=str(error))
    if isinstance(error, OSError) and error.errno in FULL:
        return Failure(reason=Reason.DISK_FULL, stage=stage, detail=str(error))
    return Failure(reason=Reason.INTERNAL, stage=stage, detail=f"{type(error).__name__}: {error}")


async def race(
    system: System,
    references: Sequence[Reference],
    record: Record,
    timeouts: Timeouts,
    start_ns: int,
    aborted: Callable[[], Failure | None],
    blame: Blame = lambda failure, _: failure,
    wire_received: Callable[[], int] | None = None,
) -> tuple[int, Failure | None]:
    """Wait for the common instant, fetch, and watch.

    Args:
        system: the leecher's system, prepared.
        references: what the seeders published.
        record: filled by the system.
        timeouts: those for discovery, stall and transfer apply.
        start_ns: the common instant on `record.clock`.
        aborted: called at every tick; the failure it returns ends the transfer.
        blame: returns the failure to record instead when the machine is to blame (`peer.blame`).
        wire_received: returns the bytes that the peer's own interface has received so far; None
            without such an interface.

    Returns:
        the start stamp (ns, on `record.clock`), and why the transfer failed, or None. A fetch that
        hangs after it was done is ended, and that is noted; its time counts.
    """
    clock = record.clock
    started = asyncio.get_running_loop().create_future()

    async def fetch_from_start() -> None:
        with raised_priority():
            await clock.sleep_until(start_ns)
            started.set_result(clock.now_ns())
        await system.fetch(references, record)

    fetch = asyncio.ensure_future(fetch_from_start())
    failure: Failure | None = None
    hangs = False
    try:
        await asyncio.wait({fetch, started}, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            fetch.result()  # the clock or the scheduler failed: there is no stamp
        record.start_ns = stamp_ns = started.result()
        watch = TransferWatch(
            record,
            timeouts,
            stamp_ns,
            progress=system.progress,
            wire_received=wire_received,
            trouble=lambda: system.trouble,
        )
        while not fetch.done() and failure is None and not hangs:
            await asyncio.wait({fetch}, timeout=_TICK_SECONDS)
            if not fetch.done():
                failure = aborted()
                if failure is None and (failure := watch.judge(clock)) is not None:
                    failure = blame(failure, None)
                hangs = watch.hangs_after_done(clock)
    finally:
        if not fetch.done():
            fetch.cancel()
            await asyncio.wait({fetch}, timeout=10)
    record.notes += watch.notes
    if failure is None and not hangs:
        return stamp_ns, _outcome(fetch, record, blame)
    if fetch.done() and not fetch.cancelled():
        fetch.exception()  # retrieved, so that asyncio doesn't warn: the watch came first
    if failure is None:
        note = f"the fetch hung after it was done; ended {AFTER_DONE_SECONDS:g} s later"
        record.notes.append(note)
    return stamp_ns, failure


def _outcome(fetch: asyncio.Future[None], record: Record, blame: Blame) -> Failure | None:
    if fetch.cancelled():
        return Failure(reason=Reason.INTERNAL, stage="race", detail="the fetch cancelled itself")
    error = fetch.exception()
    if error is not None:
        return blame(failure_of(error, "race"), error)
    if record.done_ns is None:
        return Failure(
            reason=Reason.INTERNAL, stage="race", detail="the fetch returned without being done"
        )
    return None


def summarize(
    record: Record,
    observes: Observes,
    start_ns: int,
    stamp_ns: int,
    end_ns: int,
    wire: Samples | None = None,
) -> tuple[Transfer, dict[str, Curve]]:
    """Return a transfer's figures, and the curves to store, by their names in `CURVES`.

    Args:
        record: what the system recorded.
        observes: which definitions apply to it.
        start_ns: the common instant on the record's clock.
        stamp_ns: the leecher's own start stamp; every figure counts from it.
        end_ns: when the transfer ended, done or not.
        wire: what the leecher's own interface received, if it has one.
    """
    span_ns = end_ns - stamp_ns
    curves: dict[str, Curve] = {}
    figures: dict[str, Any] = {}
    percents: dict[str, Percents] = {}
    polled, behind = observes.poll_seconds, 0.0
    if record.behind_seconds is not None:
        polled, behind = 0.0, record.behind_seconds
    added = _Added(polled, behind)
    for kind, log in (("arrival", record.arrivals), ("written", record.written)):
        if log is None:
            continue
        if kind == "arrival":
            curve = arrival_curve(log, record.written, stamp_ns, record.size_bytes, wire)
        else:
            curve = log.curve(stamp_ns, record.size_bytes)
        curves[CURVES[kind]] = curve
        figures[kind] = _marks(curve, added)
        percents[kind] = percents_of(curve, polled, span_ns, behind_seconds=behind)
        figures[f"{kind}_variation"] = curve.variation()
        stall = curve.longest_stall(span_ns)
        if kind == "arrival":
            figures["longest_stall_seconds"] = stall.length_ns / 1e9
            figures["longest_stall_resolution_seconds"] = _resolution(
                curve, stall.resolution_ns, added
            )
        else:
            figures[f"longest_{kind}_stall_seconds"] = stall.length_ns / 1e9
        if curve.offsets_known and record.unlogged_duplicates is not None:
            figures["duplicate_bytes"] = curve.duplicate_bytes + record.unlogged_duplicates
    if record.counted_duplicates is not None:
        figures["duplicate_bytes"] = record.counted_duplicates
    if record.deliverable is not None:
        if record.deliverable is record.arrivals:
            ready = curves["arrivals"]
        else:
            curves["deliveries"] = ready = record.deliverable.curve(stamp_ns, record.size_bytes)
        prefix = ready.prefix()
        figures["delivery"] = _marks(prefix, added)
        percents["delivery"] = percents_of(prefix, polled, span_ns, behind_seconds=behind)
        figures["delivery_variation"] = prefix.variation()
        figures["longest_delivery_stall_seconds"] = prefix.longest_stall(span_ns).length_ns / 1e9
    main = next((curves[name] for name in CURVES.values() if name in curves), None)
    if main is not None:
        figures |= {"received_bytes": main.total_bytes, "records": main.records}
    complete = record.complete
    if complete is None:
        complete = main is None or main.complete
    transfer = Transfer(
        start_lag_seconds=(stamp_ns - start_ns) / 1e9,
        start_monotonic_nanoseconds=stamp_ns,
        start_error_seconds=0.0,
        discovery_seconds=_since(record.discovered_ns, stamp_ns),
        done_seconds=_since(record.done_ns, stamp_ns),
        done_resolution_seconds=(
            None
            if record.done_ns is None
            else _done_resolution(figures, added) + record.done_gap_ns / 1e9
        ),
        records_complete=bool(complete),
        unit=observes.unit,
        percents=percents,
        connections_at_start=record.connections_at_start,
        retries=record.retries,
        stall_judged_by=record.stall_judged_by,
        **figures,
    )
    return transfer, curves


def _since(t_ns: int | None, stamp_ns: int) -> float | None:
    return None if t_ns is None else (t_ns - stamp_ns) / 1e9


class _Added(NamedTuple):
    """How far a record may be behind what it records, in seconds."""

    polled: float
    """The polling interval, which the gaps between samples already include."""
    behind: float
    """As measured in the transfer."""


def _done_resolution(figures: Mapping[str, Any], added: _Added) -> float:
    """Return the resolution of done in seconds: that of its finest mark at 100 %, or the polling
    interval of a system that shows no bytes."""
    marks = [mark for kind in CURVES for mark in figures.get(kind, ())]
    known = [mark.resolution_seconds for mark in marks if mark.percent == 100]
    return min(known, default=sum(added))


def _marks(curve: Curve, added: _Added) -> list[Mark]:
    marks = []
    for percent in MARK_PERCENTS:
        found = curve.mark(percent)
        if found is not None:
            t_ns, resolution_ns = found
            marks.append(
                Mark(
                    percent=percent,
                    seconds=t_ns / 1e9,
                    resolution_seconds=_resolution(curve, resolution_ns, added),
                )
            )
    return marks


def _resolution(curve: Curve, resolution_ns: int, added: _Added) -> float:
    """Return a resolution in seconds. Gaps between samples already include the polling interval."""
    polled = added.polled if curve.since_ns is None else 0.0
    return resolution_ns / 1e9 + polled + added.behind
