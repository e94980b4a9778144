"""Records that the rendezvous writes where nobody else can: runs that are not raced, results of
peers that are gone."""

from __future__ import annotations

from collections.abc import Iterator

from swarmrace.errors import Reason
from swarmrace.recording.records import Failure, PeerResult, RunResult
from swarmrace.rendezvous.flight import Flight
from swarmrace.rendezvous.messages import Claim, Release
from swarmrace.rendezvous.roster import Peer, Roster
from swarmrace.rendezvous.store import Store
from swarmrace.systems.run import Run

BY_RENDEZVOUS = "written by the rendezvous, because the peer handed in nothing"
"""Note in such a result; the peer's own, should it come, takes its place."""


def not_raced(run: Run, race_id: str, reason: Reason, detail: str) -> RunResult:
    """Return the record of a run that is never opened."""
    return RunResult(
        race_id=race_id,
        run_id=run.id,
        index=run.index,
        entrant=run.entrant,
        repetition=run.repetition,
        seeders=list(run.seeders),
        status="not raced",
        failure=Failure(reason=reason, stage="wait", detail=detail),
    )


def claimed(run: Run, race_id: str, claim: Claim) -> RunResult:
    """Return the record of a run that another rendezvous, which is gone, has led.

    Its times went with it.
    """
    failure = claim.failure
    if failure is None and claim.status != "raced":
        detail = "the rendezvous came back without its state while the run was in flight"
        failure = Failure(reason=Reason.TRACKER_LOST, stage="wait", detail=detail)
    made = not_raced(run, race_id, Reason.TRACKER_LOST, "")
    return made.model_copy(update={"status": claim.status, "failure": failure})


def not_open(run_id: str, barrier: str, stage: str) -> Release:
    """Return what a peer hears that is at a barrier of a run that this rendezvous never opened:
    whoever opened it is gone, and its state with it."""
    detail = f"run {run_id} is not open here, so nobody can be at {barrier}"
    failure = Failure(reason=Reason.TRACKER_LOST, stage=stage, detail=detail)
    return Release(barrier, False, failure)


def missing_results(
    flight: Flight, roster: Roster, store: Store, seed: int
) -> Iterator[PeerResult]:
    """Yield the results of the peers of the run in flight that handed in nothing."""
    run = flight.run
    for index in sorted({*flight.lost, *flight.late}):
        if not store.has_result(run.id, run.entrant, index):
            peer = roster.known(run.entrant, index)
            yield missing_result(flight, peer, store.info.race_id, seed)


def missing_result(flight: Flight, peer: Peer, race_id: str, seed: int) -> PeerResult:
    """Return the result of a peer of the run in flight that handed in nothing."""
    run, how = flight.run, flight.lost.get(peer.index)
    here = peer.run_id == run.id
    notes = [BY_RENDEZVOUS]
    if here and run.role(peer.index) == "leecher":
        notes.append(f"last reported {peer.progress_bytes} of {run.size_bytes} bytes")
    return PeerResult(
        race_id=race_id,
        run_id=run.id,
        entrant=run.entrant,
        peer=peer.index,
        role=run.role(peer.index),
        repetition=run.repetition,
        seed=seed,
        payload_seed=run.payload_seed,
        size_bytes=run.size_bytes,
        outcome="failed",
        failure=Failure(
            reason=Reason.TIMEOUT if how is None else peer.lost_by,
            stage=peer.stage if here else "wait",
            detail=how or "not cleared up in time",
        ),
        notes=notes,
    )
