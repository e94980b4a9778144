"""The conductor: handles what the peers do, while `RunSequence` orders the runs.

Its only I/O is the store's small files, and only callers of `wait` wait. Deadlines and silence are
measured by `now` (the event loop's time), phases and the start by `clock`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason
from swarmrace.recording.records import Failure, PeerInfo
from swarmrace.rendezvous.messages import Claim, Heartbeat, Release
from swarmrace.rendezvous.race_state import INTERRUPTED
from swarmrace.rendezvous.roster import RefusedError, RosterPeer, refuse_lost
from swarmrace.rendezvous.run_sequence import RunSequence
from swarmrace.rendezvous.substitutes import not_open


class Conductor(RunSequence):
    """Conducts one race: answers its peers, and ends what fails or takes too long."""

    def file_received(self, run_id: str) -> None:
        """Note that a peer has uploaded a file of a run, so that the manifest lists a late one."""
        if run_id in self.closed:
            self.store.write_manifest(complete=self._finished)

    def hello(
        self, info: PeerInfo, instance: str | None, claims: Mapping[str, Claim] | None = None
    ) -> RosterPeer:
        """Admit a peer. Once a run has been opened no other process can take a peer's place.

        Args:
            info: what it reports about itself.
            instance: identifies its process.
            claims: how its runs went under another rendezvous that has left no state here.

        Raises:
            RefusedError: 404 no such peer or run, 410 it is lost.
        """
        peer = self.roster.known(info.entrant, info.peer)
        begun = self.flight is not None or bool(self.closed)
        if begun and peer.lost is None and self.roster.is_another_process(info, instance):
            self.lose(info.entrant, info.peer, "its process ended and another one took its place")
        refuse_lost(peer)
        self._record_claims(info.entrant, claims or {})
        self.roster.admit(info, instance)
        self._advance()
        return peer

    def _record_claims(self, entrant: str, claims: Mapping[str, Claim]) -> None:
        for run_id in claims:
            if self.run(run_id).entrant != entrant:
                raise RefusedError(404, f"{run_id} is no run of {entrant}")
        if self._claims.record(
            claims, lambda name: name in self.closed or self.is_open(name) or self.trials.over(name)
        ):
            self._save()

    def arrive(
        self, peer: RosterPeer, run_id: str, barrier: str, failure: Failure | None
    ) -> Release | None:
        """Record an arrival; return the release, or None while the barrier is not released.

        Raises:
            RefusedError: 404 no such run or barrier.
        """
        run = self.run(run_id)
        if barrier not in BARRIERS or run.entrant != peer.entrant:
            raise RefusedError(404, f"no barrier {barrier!r} of {run_id} for {peer.entrant}")
        if barrier in ("open", "cleared"):
            peer.run_id, peer.stage = run_id, "wait"
            peer.progress_bytes = 0 if barrier == "open" else peer.progress_bytes
        flight = self.flight
        if flight is not None and flight.run is run:
            flight.arrive(peer.index, barrier, failure)
            self._advance()
        elif barrier != "open" and not self.ended(run_id):
            return not_open(run_id, barrier, peer.stage)
        return self.release(peer.entrant, run_id, barrier)

    async def wait(
        self,
        peer: RosterPeer,
        run_id: str,
        barrier: str,
        seconds: float,
        disconnected: asyncio.Future[None] | None = None,
    ) -> Release | None:
        """Wait at most `seconds` for a barrier's release, or until `disconnected` is done.

        Meanwhile the peer counts as present.
        """
        if self._waiters.stopped:
            return None
        peer.polls += 1
        try:
            await self._waiters.wait(run_id, barrier, seconds, disconnected)
        finally:
            peer.polls -= 1
            peer.last_heard = self._now()
        return self.release(peer.entrant, run_id, barrier)

    def stop_waiting(self) -> None:
        """End every wait, because this process ends."""
        self._waiters.stop()

    def heartbeat(
        self, peer: RosterPeer, run_id: str | None, stage: str, progress_bytes: int
    ) -> Heartbeat:
        """Record a peer's stage and progress."""
        peer.run_id, peer.stage, peer.progress_bytes = run_id, stage, progress_bytes
        return Heartbeat(self.failure_of(run_id), self.entrant_over(peer.entrant))

    def goodbye(self, peer: RosterPeer, reason: str | None) -> None:
        """Let a peer leave: as done, or as lost if it gives a reason or its runs aren't over."""
        racing = self.flight is not None and self.flight.run.entrant == peer.entrant
        done = self.interrupted or (self.entrant_over(peer.entrant) and not racing)
        if reason is None and done:
            peer.has_left = True
            if self.flight is not None and racing:
                self.flight.leave(peer.index)
            self._advance()
        else:
            self.lose(peer.entrant, peer.index, reason or "said goodbye before its last run")

    def lose(self, entrant: str, index: int, how: str, reason: Reason = Reason.PEER_LOST) -> None:
        """Give up on a peer: the run in flight loses it, its entrant's later runs are not raced.

        If the infrastructure took it, the race ends: no entrant is to blame, and nothing can be
        compared with an entrant that is not raced.

        Args:
            entrant: the peer's entrant.
            index: the peer's index.
            how: one human-readable line.
            reason: the reason to give for its missing results.

        Raises:
            RefusedError: 404 no such peer.
        """
        peer = self.roster.known(entrant, index)
        if peer.lost is not None or peer.has_left:
            return
        if reason is Reason.INFRASTRUCTURE:
            self.stop(f"peer {index} of {entrant}: {how}")
        peer.lost, peer.lost_reason = how, reason
        flight = self.flight
        if flight is not None and flight.run.entrant == entrant:
            flight.lose(index, peer.stage, how)
        self._skip_unraceable_runs()
        self._save()
        self._advance()

    def interrupt(self) -> None:
        """End the race."""
        if self.over or self.interrupted:
            return
        self.interrupted = True
        if self.flight is not None:
            self.flight.abort(
                Failure(reason=Reason.INTERRUPTED, stage=self.stage, detail=INTERRUPTED)
            )
        self._skip_unraceable_runs()
        if self.flight is not None and not self.flight.run.is_trial:
            self.store.write_run(self.flight.result(self._race_id))
        self._save()
        self._advance()

    def stop(self, why: str) -> None:
        """End the race because the infrastructure can't continue it.

        Args:
            why: one human-readable line: what is wrong, where, what to do.
        """
        if self.stopped:
            return
        self.stopped = why
        self.store.trouble.give_up()
        if not self.over:
            self.end_run(why)
            self._skip_unraceable_runs()
            self._advance()
        if self._finished:  # it was over, but its final records may not be on disk
            self._finished = False
            self._finish()

    def end_run(self, why: str) -> None:
        """End the run in flight: the infrastructure failed while it was raced.

        The race continues, unless the run before was lost in the same way.
        """
        if self.flight is not None:
            reason = Reason.INFRASTRUCTURE
            self.flight.abort(Failure(reason=reason, stage=self.stage, detail=why))
        if not self.stopped:
            self._advance()

    def tick(self) -> None:
        """Check the time: give up on silent peers, end what has outlived its deadline."""
        if not self.over:
            for peer, how in self.roster.overdue():
                self.lose(peer.entrant, peer.index, how)
        if self.flight is not None:
            self.flight.check_deadline()
        self._advance()
