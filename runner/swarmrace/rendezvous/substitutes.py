"""Records that the rendezvous writes because no peer can: of runs not raced and of lost peers."""

from __future__ import annotations

from collections.abc import Iterator

from swarmrace.errors import Reason
from swarmrace.recording.records import Failure, PeerResult, RunResult
from swarmrace.rendezvous.flight import Flight
from swarmrace.rendezvous.messages import Claim, Release
from swarmrace.rendezvous.roster import Roster, RosterPeer
from swarmrace.rendezvous.store import Store
from swarmrace.systems.run import Run

BY_RENDEZVOUS = "written by the rendezvous, because the peer uploaded nothing"
"""The note in such a result. If the peer's own result arrives, it replaces this one."""


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


def claimed_run(run: Run, race_id: str, claim: Claim) -> RunResult:
    """Return the record of a run that an earlier rendezvous conducted.

    Its times are lost with that rendezvous.
    """
    failure = claim.failure
    if failure is None and claim.status != "raced":
        detail = "the rendezvous came back without its state while the run was in flight"
        failure = Failure(reason=Reason.TRACKER_LOST, stage="wait", detail=detail)
    made = not_raced(run, race_id, Reason.TRACKER_LOST, "")
    return made.model_copy(update={"status": claim.status, "failure": failure})


def not_open(run_id: str, barrier: str, stage: str) -> Release:
    """Return the release for a peer at a barrier of a run that this rendezvous never opened: an
    earlier one did, and its state is lost."""
    detail = f"run {run_id} is not open here, so no peer can be at {barrier}"
    failure = Failure(reason=Reason.TRACKER_LOST, stage=stage, detail=detail)
    return Release(barrier, False, failure)


def missing_results(
    flight: Flight, roster: Roster, store: Store, seed: int
) -> Iterator[PeerResult]:
    """Yield results for the peers of the run in flight that handed in none."""
    run = flight.run
    for index in sorted({*flight.lost, *flight.late}):
        if not store.has_result(run.id, run.entrant, index):
            peer = roster.known(run.entrant, index)
            yield missing_result(flight, peer, store.info.race_id, seed)


def missing_result(flight: Flight, peer: RosterPeer, race_id: str, seed: int) -> PeerResult:
    """Return a result for a peer of the run in flight that handed in none."""
    run, how = flight.run, flight.lost.get(peer.index)
    in_run = peer.run_id == run.id
    notes = [BY_RENDEZVOUS]
    if in_run and run.role(peer.index) == "leecher":
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
            reason=Reason.TIMEOUT if how is None else peer.lost_reason,
            stage=peer.stage if in_run else "wait",
            detail=how or "did not clear up in time",
        ),
        notes=notes,
    )
