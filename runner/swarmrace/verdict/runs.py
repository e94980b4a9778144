"""From records to each run's number: which runs count, failed or are missing.

If the entrant itself failed, the run's number is infinite. If the run was lost to the
infrastructure (tracker lost, race interrupted, peer lost before the start) or to the runner's
slowness (making the payload, verifying it), it is missing: it is part of no ratio and listed with
its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from swarmrace.errors import Reason
from swarmrace.recording.records import Failure, PeerResult
from swarmrace.results.folder import RunRecord
from swarmrace.scenario.scenario import Race
from swarmrace.statistics.summary import middle
from swarmrace.verdict.model import RunStatus

INFRASTRUCTURE = frozenset(
    {
        Reason.INFRASTRUCTURE,
        Reason.TRACKER_LOST,
        Reason.INTERRUPTED,
        Reason.NOT_RUN,
        Reason.INTERNAL,
    }
)
"""Reasons that are not the entrant's failure."""


def excused(failure: Failure) -> bool:
    """Return whether a failure is not the entrant's: by its reason, or because the runner's own
    work failed (making the payload, or reading it back in time)."""
    if failure.stage == "make" or failure.reason in INFRASTRUCTURE:
        return True
    return failure.stage == "verify" and failure.reason is Reason.TIMEOUT


@dataclass(frozen=True, slots=True)
class RunView:
    """One scheduled run, judged."""

    record: RunRecord
    status: RunStatus
    reason: str
    times: tuple[float, ...]
    """Each leecher's t100 in seconds, infinite for a failed transfer; empty if the run is
    missing."""
    failures: tuple[tuple[int, Failure], ...]
    """Pairs of peer and failure; a missing run may have some."""
    marks: dict[tuple[str, float], float | None] = field(
        default_factory=dict, compare=False, repr=False
    )
    """The median leecher's marks that were asked for (`figures.mark_of_run`): each pair of entrants
    asks again."""
    resolutions: dict[tuple[str, float], float] = field(
        default_factory=dict, compare=False, repr=False
    )
    """The resolutions of these marks (`run_numbers.mark_number`)."""

    @property
    def number(self) -> float | None:
        """The median leecher's t100: infinite if it failed, None if the run is missing."""
        if self.status == "missing":
            return None
        return middle(self.times) if self.times else math.inf

    @property
    def last(self) -> float | None:
        """The last leecher's t100: infinite if it failed, None if the run is missing."""
        if self.status == "missing":
            return None
        return max(self.times, default=math.inf)

    def leechers(self) -> list[PeerResult]:
        """Return the leechers' records."""
        return [self.record.peers[peer] for peer in self.record.leechers]

    def seeders(self) -> list[PeerResult]:
        """Return the seeders' records."""
        seeders = self.record.run.seeders
        return [self.record.peers[peer] for peer in seeders if peer in self.record.peers]

    def median_leecher(self, get: Callable[[PeerResult], float | None]) -> float | None:
        """Return the median of a time over all leechers. A missing time of a failed transfer counts
        as infinite. None if no leecher has one, or a completed transfer lacks it."""
        values: list[float] = []
        for leecher in self.leechers():
            value = get(leecher)
            if value is None:
                if transfer_seconds(leecher) < math.inf:
                    return None
                value = math.inf
            values.append(value)
        values.extend([math.inf] * (len(self.times) - len(values)))
        return middle(values) if values else (None if self.status == "missing" else math.inf)


def transfer_seconds(peer: PeerResult) -> float:
    """Return a leecher's t100, infinite if its transfer failed or its bytes were wrong."""
    transfer = peer.transfer
    if peer.outcome != "completed" or transfer is None or wrong_bytes(peer):
        return math.inf
    return math.inf if transfer.done_seconds is None else transfer.done_seconds


def wrong_bytes(peer: PeerResult) -> bool:
    """Return whether verification found a leecher's bytes to be wrong."""
    if peer.failure is not None:
        return peer.failure.reason is Reason.WRONG_BYTES
    return peer.transfer is not None and peer.transfer.verified is False


def failure_of(peer: PeerResult) -> Failure | None:
    """Return a peer's failure, also if only its verification shows it; None if it didn't fail."""
    if peer.failure is not None:
        return peer.failure
    if wrong_bytes(peer):
        return Failure(reason=Reason.WRONG_BYTES, stage="verify")
    if peer.outcome == "failed":
        return Failure(reason=Reason.INTERNAL, stage="", detail="recorded without a reason")
    if peer.role == "leecher" and transfer_seconds(peer) == math.inf:
        return Failure(reason=Reason.INTERNAL, stage="race", detail="completed without a time")
    return None


def complete(view: RunView) -> bool | None:
    """Return whether every leecher of a run completed; None if the run is missing."""
    if view.status == "missing":
        return None
    return bool(view.times) and all(map(math.isfinite, view.times))


def complete_runs(views: Sequence[RunView]) -> tuple[int, int]:
    """Return the number of complete runs, and the number of runs that aren't missing."""
    known = [found for view in views if (found := complete(view)) is not None]
    return sum(known), len(known)


def view(record: RunRecord, race: Race) -> RunView:
    """Judge one run of a race."""
    failures = [
        (peer, failure)
        for peer, result in record.peers.items()
        if (failure := failure_of(result)) is not None
    ]
    result = record.result
    if result is None:
        left = f"; {len(record.peers)} peers left records" if record.peers else ""
        return RunView(record, "missing", f"no record of the run{left}", (), tuple(failures))
    if result.failure is not None and result.status == "not raced" and not failures:
        failures.append((-1, result.failure))
    if result.status == "aborted":
        reason = _line(result.failure) if result.failure else "aborted"
        return RunView(record, "missing", reason, (), tuple(failures))
    if result.status == "not raced":
        return _not_raced(record, failures)
    return _raced(record, race, failures)


def _not_raced(record: RunRecord, failures: list[tuple[int, Failure]]) -> RunView:
    """Judge a run without a start: failed if that is the entrant's fault, otherwise missing."""
    result = record.result
    assert result is not None
    # The other peers record that the run was not run; the peer that caused it comes first.
    failures = sorted(failures, key=lambda each: each[1].reason is Reason.NOT_RUN)
    causes = [failure for _, failure in failures]
    if result.failure is not None:
        causes.insert(0, result.failure)
    causes.sort(key=lambda failure: failure.reason is Reason.NOT_RUN)
    own = [each for each in causes if not excused(each) and each.reason is not Reason.PEER_LOST]
    if own:
        return RunView(record, "failed", _line(own[0]), (), tuple(failures))
    reason = _line(causes[0]) if causes else "the start was never given"
    return RunView(record, "missing", reason, (), tuple(failures))


def _raced(record: RunRecord, race: Race, failures: list[tuple[int, Failure]]) -> RunView:
    result = record.result
    assert result is not None
    if result.failure is not None and result.failure.reason in INFRASTRUCTURE:
        return RunView(record, "missing", _line(result.failure), (), tuple(failures))
    cold = [peer for peer, each in record.peers.items() if each.started == "cold"]
    if cold and not race.cold_start:
        reason = f"peer {cold[0]} began cold in a race of warm starts"
        return RunView(record, "missing", reason, (), tuple(failures))
    times: list[float] = []
    for peer in (peer for peer in range(race.swarm_size) if peer not in record.run.seeders):
        leecher = record.peers.get(peer)
        if leecher is None:
            how = result.lost.get(peer)
            if how is None:
                reason = f"leecher {peer} has no readable record"
                return RunView(record, "missing", reason, (), tuple(failures))
            failures.append((peer, Failure(reason=Reason.PEER_LOST, stage="race", detail=how)))
            times.append(math.inf)
            continue
        failure = failure_of(leecher)
        # After the start an entrant could provoke a defect of swarmrace, so it isn't excused.
        recorded = leecher.failure is not None and leecher.failure.reason is Reason.INTERNAL
        if failure is not None and excused(failure) and not recorded:
            reason = f"leecher {peer}: {_line(failure)}"
            return RunView(record, "missing", reason, (), tuple(failures))
        times.append(transfer_seconds(leecher))
    reason = "; ".join(f"peer {peer}: {_line(failure)}" for peer, failure in failures)
    status: RunStatus = "failed" if math.isinf(middle(times)) else "counted"
    return RunView(record, status, reason, tuple(times), tuple(failures))


def _line(failure: Failure) -> str:
    text = str(failure.reason)
    if failure.stage:
        text += f" in {failure.stage}"
    return f"{text} ({failure.detail})" if failure.detail else text


def complete_blocks(views: Iterable[RunView]) -> set[int]:
    """Return the blocks in which no entrant's run is missing."""
    blocks: dict[int, list[RunView]] = {}
    for each in views:
        blocks.setdefault(each.record.run.repetition, []).append(each)
    return {
        block for block, runs in blocks.items() if all(each.status != "missing" for each in runs)
    }
