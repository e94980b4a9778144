"""The order of a race: opens its trials and runs one after another, and closes each on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from swarmrace.clock import Clock
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason
from swarmrace.plan.trials import BARRIERS as TRIAL_BARRIERS
from swarmrace.plan.trials import PEERS as TRIAL_PEERS
from swarmrace.recording.records import Failure
from swarmrace.rendezvous.flight import MARGIN_SECONDS, MAX_LEAD_SECONDS, Flight
from swarmrace.rendezvous.race_state import RaceState, StopRule
from swarmrace.rendezvous.relay_counts import RelayCounts
from swarmrace.rendezvous.store import Store
from swarmrace.rendezvous.substitutes import claimed_run, missing_results, not_raced
from swarmrace.rendezvous.trial_book import TrialPolicy
from swarmrace.rendezvous.waiters import Waiters
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.run import Run

_RETURN_SECONDS = 30.0
"""Grace for peers to find a rendezvous that has restarted."""


class RunSequence(RaceState):
    """The runs of one race, each opened when its turn has come and closed when it has ended.

    `Conductor` reports what peers do and calls `_advance`; whoever waits at a barrier is woken.

    Args:
        scenario: what is raced.
        store: the race's folder; a store with state means a restart.
        clock: the rendezvous' clock.
        now: returns the seconds that deadlines and silence are measured by.
        margin_seconds: added to every barrier's deadline.
        relay_counts: the file in which the race's relay counts, if it has one.
        trials: whether programs are tried first.
        stop_rule: called after each block but the last; returns whether the race may stop.
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
        self._relay_counts = RelayCounts(relay_counts)
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

    def _advance(self) -> None:
        """Close the run in flight if it has ended; open the next once all peers have reported."""
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
                self._close_claimed_runs()
                if self._open_trial():
                    return
                self._skip_unraceable_runs()
            if self.over:
                self._finish()
                return
            if not assembled:
                return
            self._open(next(run for run in self.runs.values() if run.id not in self.closed))

    def _open_trial(self) -> bool:
        """Open the next trial, if one is left; return whether there was one."""
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
        self._save()  # before any peer learns of it: a restart must know which run it interrupted
        self._waiters.wake(run.id, "open")

    def _flight(self, run: Run) -> Flight:
        self._relay_counts.begin()
        error_seconds = max((i.clock_error_seconds for i in self.roster.infos()), default=0.0)
        lead_seconds = 0.1 + 0.002 * self.race.swarm_size + 2 * error_seconds
        lead_seconds = min(MAX_LEAD_SECONDS, lead_seconds)
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
        """Write the records of a run that has ended, so that the next can open."""
        run = flight.run
        if run.is_trial:
            self.trials.close(flight)
        else:
            for result in missing_results(flight, self.roster, self.store, self.race.seed):
                self.store.write_result(result)
            self.closed[run.id] = self._relay_counts.add_to(flight.result(self._race_id))
            self.store.write_run(self.closed[run.id])
            self.count_strikes(self.closed[run.id])
        self.flight = None
        self.store.write_manifest()
        for omitted in self.stop_if_decided(run):
            self._waiters.wake_run(omitted.id)
        self._save()
        self._waiters.wake_run(run.id)

    def _close_claimed_runs(self) -> None:
        """Close the runs that another rendezvous conducted, once every peer has claimed its own."""
        for run_id, claim in self._claims.about([*self.trials.runs, *self.runs]):
            if run_id in self.trials.runs:
                self.trials.record_claim(run_id, claim)
            else:
                result = claimed_run(self.runs[run_id], self._race_id, claim)
                self.store.write_run(result)
                self.closed[run_id] = result
            self._claims.settle(run_id)
            self._save()
            self._waiters.wake_run(run_id)

    def _skip_unraceable_runs(self) -> None:
        """Close the runs that can't be raced any more. Repeated before each run is opened, because
        a full disk can stop it halfway."""
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
            self.store.trouble.release_reserve()
            self._finished = True

    def _save(self) -> None:
        flight = self.flight
        self.store.write_state(self.to_state())
        self._saved_decision = flight if flight is not None and flight.decided else None

    def _resume(self, state: dict[str, Any]) -> None:
        """Continue where another process ended: the run that it had in flight is lost."""
        self.boot, self.interrupted = state["boot"] + 1, state["interrupted"]
        self.stopped, self.strikes = state.get("stopped", ""), state.get("strikes", 0)
        self.roster.resume(self.store.info.peers, state["peers"], _RETURN_SECONDS)
        for run_id in state["closed"]:
            result = self.store.read_run(run_id)
            if result is not None:
                self.closed[run_id] = result
        self.omit_runs_from(state.get("decidedBlocks"))
        self._claims.resume(state.get("claims", {}))
        kept = state["flight"]
        if kept and kept["run_id"] in self.trials.runs:
            detail = f"the rendezvous restarted (start {self.boot}) during the trial"
            self.trials.cut_short(kept["run_id"], Reason.TRACKER_LOST, detail)
            kept = None
        written = self.store.read_run(kept["run_id"]) if kept and not self.interrupted else None
        if written is not None:  # the process ended while it closed the run
            self.closed[written.run_id] = written
        elif kept:
            flight = self.flight = self._flight(self.run(kept["run_id"]))
            peers = self.roster.peers.values()
            left = {p.index for p in peers if p.has_left and p.entrant == flight.run.entrant}
            flight.resume(kept, left, _RETURN_SECONDS)
            reason = Reason.INTERRUPTED if self.interrupted else Reason.TRACKER_LOST
            detail = f"the rendezvous restarted (start {self.boot}) while the run was in flight"
            flight.abort(Failure(reason=reason, stage="wait", detail=detail), _RETURN_SECONDS)
        changes: dict[str, Any] = {"rendezvous_restarts": self.boot - 1}
        if not self.over:
            changes["status"] = "running"
        self.store.write_info(**changes)
