"""The conductor: opens the runs of the schedule one after another and knows who is there.

No I/O but the store's small files, no waiting but by those who ask `wait`. Deadlines and silence
count on `now` (the event loop's time), phases and the start on `clock`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from swarmrace.clock import Clock
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason
from swarmrace.plan.trials import BARRIERS as TRIAL_BARRIERS
from swarmrace.plan.trials import PEERS as TRIAL_PEERS
from swarmrace.recording.records import Failure, PeerInfo
from swarmrace.rendezvous.flight import MARGIN_SECONDS, MOST_LEAD_SECONDS, Flight
from swarmrace.rendezvous.messages import Claim, Heartbeat, Release
from swarmrace.rendezvous.race_state import INTERRUPTED, RaceState, StopRule
from swarmrace.rendezvous.relayed import Relayed
from swarmrace.rendezvous.roster import Peer, RefusedError, refuse_lost
from swarmrace.rendezvous.store import Store
from swarmrace.rendezvous.substitutes import claimed, missing_results, not_open, not_raced
from swarmrace.rendezvous.trial_book import TrialPolicy
from swarmrace.rendezvous.waiters import Waiters
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.run import Run

_RETURN_SECONDS = 30.0
"""Grace for peers to find a rendezvous that has restarted."""


class Conductor(RaceState):
    """The state of one race.

    Args:
        scenario: what is raced.
        store: where it is kept; a store with state is a restart.
        clock: the rendezvous' clock.
        now: seconds that deadlines and silence count on.
        margin_seconds: added to every deadline of a barrier.
        relay_counts: the file in which the race's relay counts, if it has one.
        trials: whether programs are tried first.
        stop_rule: asked after each block but the last whether the race may stop.
    """

    def __init__(
        self,
        scenario: Scenario,
        store: Store,
        clock: Clock,
        now: Callable[[], float],
        *,
        margin_seconds: float = MARGIN_SECONDS,
        relay_counts: Path | None = None,
        trials: TrialPolicy = TrialPolicy(),  # noqa: B008 (it is frozen)
        stop_rule: StopRule | None = None,
    ) -> None:
        super().__init__(scenario, store, trials, now, stop_rule)
        self._race_id, self.clock = store.info.race_id, clock
        self._now, self._margin_seconds = now, margin_seconds
        self._relayed = Relayed(relay_counts)
        self._finished = False
        self._saved_decision: Flight | None = None
        self._waiters = Waiters()
        if store.state:
            self._resume(store.state)
        else:
            store.write_info()
        store.trouble.reserve()
        self._save()
        self._advance()

    def handed_in(self, run_id: str) -> None:
        """Note that a peer has handed in a file of a run; late ones must not miss in the list."""
        if run_id in self.closed:
            self.store.write_manifest(complete=self._finished)

    def hello(
        self, info: PeerInfo, instance: str | None, claims: Mapping[str, Claim] | None = None
    ) -> Peer:
        """Take a peer in. Once runs have been opened nobody can take another's place.

        Args:
            info: what it says of itself.
            instance: names its process.
            claims: how its runs went under another rendezvous, that has left no state here.

        Raises:
            RefusedError: 404 no such peer or run, 410 it is lost.
        """
        peer = self.roster.known(info.entrant, info.peer)
        begun = self.flight is not None or bool(self.closed)
        if begun and peer.lost is None and self.roster.another_process(info, instance):
            self.lose(info.entrant, info.peer, "its process ended and another one took its place")
        refuse_lost(peer)
        self._note(info.entrant, claims or {})
        self.roster.take_in(info, instance)
        self._advance()
        return peer

    def _note(self, entrant: str, claims: Mapping[str, Claim]) -> None:
        for run_id in claims:
            if self.run(run_id).entrant != entrant:
                raise RefusedError(404, f"{run_id} is no run of {entrant}")
        if self._claims.note(
            claims, lambda name: name in self.closed or self.is_open(name) or self.trials.over(name)
        ):
            self._save()

    def arrive(
        self, peer: Peer, run_id: str, barrier: str, failure: Failure | None
    ) -> Release | None:
        """Note an arrival; return the release, or None while the barrier is not released.

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
        peer: Peer,
        run_id: str,
        barrier: str,
        seconds: float,
        away: asyncio.Future[None] | None = None,
    ) -> Release | None:
        """Wait for a barrier's release, for `seconds` at most, or until `away` is done.

        Meanwhile the peer counts as present.
        """
        if self._waiters.stopped:
            return None
        peer.polls += 1
        try:
            await self._waiters.wait(run_id, barrier, seconds, away)
        finally:
            peer.polls -= 1
            peer.heard = self._now()
        return self.release(peer.entrant, run_id, barrier)

    def stop_waiting(self) -> None:
        """Send everybody who waits away: this process ends."""
        self._waiters.stop()

    def heartbeat(
        self, peer: Peer, run_id: str | None, stage: str, progress_bytes: int
    ) -> Heartbeat:
        """Note what a peer is at."""
        peer.run_id, peer.stage, peer.progress_bytes = run_id, stage, progress_bytes
        return Heartbeat(self.failure_of(run_id), self.entrant_over(peer.entrant))

    def goodbye(self, peer: Peer, reason: str | None) -> None:
        """Let a peer go: as done, or with a reason, or before its runs are over, as lost."""
        racing = self.flight is not None and self.flight.run.entrant == peer.entrant
        done = self.interrupted or (self.entrant_over(peer.entrant) and not racing)
        if reason is None and done:
            peer.gone = True
            if self.flight is not None and racing:
                self.flight.leave(peer.index)
            self._advance()
        else:
            self.lose(peer.entrant, peer.index, reason or "said goodbye before its last run")

    def lose(self, entrant: str, index: int, how: str, reason: Reason = Reason.PEER_LOST) -> None:
        """Give a peer up: the run in flight is told, later runs of its entrant are not raced.

        Where the infrastructure took it (`reason`) the race ends: no entrant is to blame, and none
        can be compared with one that is not raced. `how` is one line for people.

        Raises:
            RefusedError: 404 no such peer.
        """
        peer = self.roster.known(entrant, index)
        if peer.lost is not None or peer.gone:
            return
        if reason is Reason.INFRASTRUCTURE:
            self.stop(f"peer {index} of {entrant}: {how}")
        peer.lost, peer.lost_by = how, reason
        flight = self.flight
        if flight is not None and flight.run.entrant == entrant:
            flight.lose(index, peer.stage, how)
        self._skip_what_can_not_be_raced()
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
        self._skip_what_can_not_be_raced()
        if self.flight is not None and not self.flight.run.is_trial:
            self.store.write_run(self.flight.result(self._race_id))
        self._save()
        self._advance()

    def stop(self, why: str) -> None:
        """End the race because the infrastructure doesn't let it go on.

        Args:
            why: one line for people: what is wrong, where, what to do.
        """
        if self.stopped:
            return
        self.stopped = why
        self.store.trouble.give_up()
        if not self.over:
            self.strike(why)
            self._skip_what_can_not_be_raced()
            self._advance()
        if self._finished:  # it was over, and its last words may not be on disk
            self._finished = False
            self._finish()

    def strike(self, why: str) -> None:
        """End the run in flight: the infrastructure failed while it was raced.

        The race goes on, unless the run before was lost so too.
        """
        if self.flight is not None:
            reason = Reason.INFRASTRUCTURE
            self.flight.abort(Failure(reason=reason, stage=self.stage, detail=why))
        if not self.stopped:
            self._advance()

    def tick(self) -> None:
        """Look at the time: give up who is silent, end what has outlived its deadline."""
        if not self.over:
            for peer, how in self.roster.overdue():
                self.lose(peer.entrant, peer.index, how)
        if self.flight is not None:
            self.flight.check_deadline()
        self._advance()

    def _advance(self) -> None:
        """Close the run in flight when it has ended, and open the next one when all are there."""
        while True:
            if self.flight is not None:
                if self.flight.ended:
                    self._close(self.flight)
                    continue
                if self.flight.decided and self._saved_decision is not self.flight:
                    self._save()
                return
            assembled = self.roster.assembled
            if assembled or self.ending:
                self._close_what_is_claimed()
                if self._try_next():
                    return
                self._skip_what_can_not_be_raced()
            if self.over:
                self._finish()
                return
            if not assembled:
                return
            self._open(next(run for run in self.runs.values() if run.id not in self.closed))

    def _try_next(self) -> bool:
        """Open the next trial before the first run; return whether there was one."""
        begun = {self.runs[run_id].entrant for run_id in self.closed}
        trial = None if self.ending else self.trials.next(begun)
        if trial is not None:
            self._open(trial)
        else:
            for run_id in self.trials.runs:
                self._waiters.wake_run(run_id)
        return trial is not None

    def _open(self, run: Run) -> None:
        self.flight = self._flight(run)
        self._save()  # on disk before anybody hears of it: a restart must know what it missed
        self._waiters.wake(run.id, "open")

    def _flight(self, run: Run) -> Flight:
        self._relayed.begin()
        worst = max((info.clock_error_seconds for info in self.roster.infos()), default=0.0)
        lead_seconds = min(MOST_LEAD_SECONDS, 0.1 + 0.002 * self.race.swarm_size + 2 * worst)
        return Flight(
            run,
            set(TRIAL_PEERS if run.is_trial else range(self.race.swarm_size)),
            self.race.timeouts,
            self.clock,
            self._now,
            lead_seconds=lead_seconds,
            margin_seconds=self._margin_seconds,
            released=lambda barrier: self._waiters.wake(run.id, barrier),
            barriers=TRIAL_BARRIERS if run.is_trial else BARRIERS,
        )

    def _close(self, flight: Flight) -> None:
        """Write what the run leaves, then let the next one come."""
        run = flight.run
        if run.is_trial:
            self.trials.close(flight)
        else:
            for result in missing_results(flight, self.roster, self.store, self.race.seed):
                self.store.write_result(result)
            self.closed[run.id] = self._relayed.in_result(flight.result(self._race_id))
            self.store.write_run(self.closed[run.id])
            self.count_strikes(self.closed[run.id])
        self.flight = None
        self.store.write_manifest()
        for left_out in self.look(run):
            self._waiters.wake_run(left_out.id)
        self._save()
        self._waiters.wake_run(run.id)

    def _close_what_is_claimed(self) -> None:
        """Close the runs that another rendezvous has led, once all who know of them are there."""
        for run_id, claim in self._claims.of([*self.trials.runs, *self.runs]):
            if run_id in self.trials.runs:
                self.trials.claimed(run_id, claim)
            else:
                result = claimed(self.runs[run_id], self._race_id, claim)
                self.store.write_run(result)
                self.closed[run_id] = result
            self._claims.settle(run_id)
            self._save()
            self._waiters.wake_run(run_id)

    def _skip_what_can_not_be_raced(self) -> None:
        """Close the runs that will not come. Done again before each that would be opened: on a
        full disk it ends half-way."""
        for run in self.runs.values():
            if run.id in self.closed or self.is_open(run.id):
                continue
            if (why := self.why_not_raced(run)) is not None:
                result = not_raced(run, self._race_id, *why)
                self.store.write_run(result)
                self.closed[run.id] = result
                self._waiters.wake_run(run.id)

    def _finish(self) -> None:
        if not self._finished:
            # Written first: on a full disk this raises, and the next tick tries again.
            status = "interrupted" if self.interrupted else "finished"
            self.store.write_info(
                peers=self.roster.infos(),
                status="stopped" if self.stopped else status,
                stopped_by=self.stopped,
            )
            self.store.write_manifest(complete=True)
            self.store.trouble.give_back()
            self._finished = True

    def _save(self) -> None:
        flight = self.flight
        self.store.write_state(self.to_state())
        self._saved_decision = flight if flight is not None and flight.decided else None

    def _resume(self, state: dict[str, Any]) -> None:
        """Go on where another process was ended: the run it had in flight is lost."""
        self.boot, self.interrupted = state["boot"] + 1, state["interrupted"]
        self.stopped, self.strikes = state.get("stopped", ""), state.get("strikes", 0)
        self.roster.resume(self.store.info.peers, state["peers"], _RETURN_SECONDS)
        for run_id in state["closed"]:
            result = self.store.read_run(run_id)
            if result is not None:
                self.closed[run_id] = result
        self.leave_out_from(state.get("decidedBlocks"))
        self._claims.resume(state.get("claims", {}))
        kept = state["flight"]
        if kept and kept["run_id"] in self.trials.runs:
            detail = f"the rendezvous restarted (start {self.boot}) during the trial"
            self.trials.cut_short(kept["run_id"], Reason.TRACKER_LOST, detail)
            kept = None
        written = self.store.read_run(kept["run_id"]) if kept and not self.interrupted else None
        if written is not None:  # it was being closed
            self.closed[written.run_id] = written
        elif kept:
            flight = self.flight = self._flight(self.run(kept["run_id"]))
            peers = self.roster.peers.values()
            gone = {p.index for p in peers if p.gone and p.entrant == flight.run.entrant}
            flight.resume(kept, gone, _RETURN_SECONDS)
            reason = Reason.INTERRUPTED if self.interrupted else Reason.TRACKER_LOST
            detail = f"the rendezvous restarted (start {self.boot}) while the run was in flight"
            flight.abort(Failure(reason=reason, stage="wait", detail=detail), _RETURN_SECONDS)
        changes: dict[str, Any] = {"rendezvous_restarts": self.boot - 1}
        if not self.over:
            changes["status"] = "running"
        self.store.write_info(**changes)
