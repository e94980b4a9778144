"""The state of a race: which runs are closed, which one is open, what stops the others.

It only answers questions; `RunSequence` and `Conductor` decide what happens next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swarmrace.errors import Reason, SwarmraceError
from swarmrace.plan.schedule import schedule
from swarmrace.recording.records import Failure, RunResult
from swarmrace.rendezvous.claim_book import ClaimBook
from swarmrace.rendezvous.flight import Flight
from swarmrace.rendezvous.messages import STAGE_OF, Release
from swarmrace.rendezvous.roster import RefusedError, Roster
from swarmrace.rendezvous.store import Store
from swarmrace.rendezvous.substitutes import not_raced
from swarmrace.rendezvous.trial_book import TrialBook, TrialPolicy
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.run import Run

StopRule = Callable[[Path, int], bool]
"""Takes the folder and how many blocks have ended; returns whether every acceptance is decided."""
INTERRUPTED = "the race was interrupted"
DECIDED = "every acceptance was decided before"
_log = logging.getLogger(__name__)
_STRIKES = 2
"""After this many runs in a row lost to the infrastructure, the race is stopped."""


class RaceState:
    """The runs of one race, its trials, its peers, and how far it has come.

    Args:
        scenario: what is raced.
        store: the race's folder.
        trials: whether programs are tried first.
        now: returns the seconds that deadlines and silence are measured by.
        stop_rule: called after each block but the last; returns whether the race may stop.
    """

    def __init__(
        self,
        scenario: Scenario,
        store: Store,
        trials: TrialPolicy,
        now: Callable[[], float],
        stop_rule: StopRule | None = None,
    ) -> None:
        self.race, self.store = scenario.race, store
        self._stop_rule = stop_rule
        self.runs = {run.id: run for run in schedule(scenario)}
        self.trials = TrialBook(scenario, trials, store)
        self.roster = Roster(scenario, now)
        self.closed: dict[str, RunResult] = {}
        self.flight: Flight | None = None
        self.interrupted = False
        self.stopped = ""
        """Why the infrastructure stopped the race; empty if it didn't."""
        self.decided_blocks: int | None = None
        """The number of blocks after which everything was decided; no further run is raced."""
        self.strikes = 0
        """How many runs in a row were lost to the infrastructure."""
        self.boot = 1
        self._claims = ClaimBook()
        self._last_run = {run.entrant: run.id for run in self.runs.values()}

    @property
    def over(self) -> bool:
        """Whether every run is closed."""
        return len(self.closed) == len(self.runs)

    def run(self, run_id: str) -> Run:
        """Return a run of the schedule, or a trial.

        Raises:
            RefusedError: 404 no such run.
        """
        run = self.runs.get(run_id) or self.trials.runs.get(run_id)
        if run is None:
            raise RefusedError(404, f"no run {run_id!r} in this race")
        return run

    def ended(self, run_id: str) -> bool:
        """Return whether a run or trial is over here, or a peer claims so."""
        return run_id in self.closed or run_id in self._claims or self.trials.over(run_id)

    def is_open(self, run_id: str) -> bool:
        """Return whether a run is in flight."""
        return self.flight is not None and self.flight.run.id == run_id

    def entrant_over(self, entrant: str) -> bool:
        """Return whether no further run of an entrant will come."""
        return self.ending or self._last_run[entrant] in self.closed

    @property
    def ending(self) -> bool:
        """Whether no further run is opened."""
        return self.interrupted or bool(self.stopped)

    @property
    def stage(self) -> str:
        """The stage of the peers of the run in flight."""
        return STAGE_OF[self.flight.barrier] if self.flight is not None else "wait"

    def release(self, entrant: str, run_id: str, barrier: str) -> Release | None:
        """Return a barrier's release, or None while it is not released."""
        over = self.entrant_over(entrant)
        if run_id in self.trials.runs and not self.is_open(run_id):
            return self.trials.release(run_id, barrier, over=over)
        closed = self.closed.get(run_id)
        if closed is not None:
            return Release(barrier, barrier == "cleared", closed.failure, over=over)
        if self.flight is None or self.flight.run.id != run_id:
            return None
        release = self.flight.releases.get(barrier)
        if release is None or not over:
            return release
        return Release(barrier, release.go, release.failure, release.start_ns, over)

    def failure_of(self, run_id: str | None) -> Failure | None:
        """Return why a run has failed, or None if it hasn't."""
        if run_id in self.closed:
            return self.closed[run_id].failure
        if self.flight is not None and self.flight.run.id == run_id:
            return self.flight.failure
        return None

    def why_not_raced(self, run: Run) -> tuple[Reason, str] | None:
        """Return why a run that hasn't begun can't be raced, or None if it can."""
        if self.stopped:
            return Reason.INFRASTRUCTURE, self.stopped
        if self.interrupted:
            return Reason.INTERRUPTED, INTERRUPTED
        for peer in self.roster.peers.values():
            if peer.lost and peer.entrant == run.entrant:
                return Reason.NOT_RUN, f"peer {peer.index} lost: {peer.lost}"
        refusal = self.trials.refusal(run.entrant)
        return (Reason.NOT_RUN, refusal) if refusal else None

    def stop_if_decided(self, after: Run) -> list[Run]:
        """Stop once a run has completed its block, with all blocks before it, and everything is
        decided. Return the omitted runs."""
        blocks = after.repetition + 1
        before = [each for each in self.runs.values() if each.repetition < blocks]
        if (
            self._stop_rule is None
            or after.is_trial
            or self.ending
            or blocks >= self.race.repetitions
            or any(each.id not in self.closed for each in before)
        ):
            return []
        try:
            decided = self._stop_rule(self.store.folder, blocks)
        except SwarmraceError as error:  # then the race continues to its end
            _log.warning("the interim verdict after %d blocks failed: %s", blocks, error)
            return []
        if not decided:
            return []
        self.store.write_info(decided_blocks=blocks)
        return self.omit_runs_from(blocks)

    def omit_runs_from(self, blocks: int | None) -> list[Run]:
        """Close the runs after a decision; they leave no record, because they were never due.

        Args:
            blocks: the number of blocks after which it was decided; None if it wasn't.
        """
        self.decided_blocks = blocks
        if blocks is None:
            return []
        omitted = [run for run in self.runs.values() if run.repetition >= blocks]
        for run in omitted:
            result = not_raced(run, self.store.info.race_id, Reason.NOT_RUN, DECIDED)
            self.closed.setdefault(run.id, result)
        return omitted

    def count_strikes(self, closed: RunResult) -> None:
        """Stop the race if several runs in a row were lost to the infrastructure."""
        failure = closed.failure
        strike = failure is not None and failure.reason is Reason.INFRASTRUCTURE
        self.strikes = self.strikes + 1 if strike else 0
        if failure is not None and self.strikes >= _STRIKES and not self.stopped:
            self.stopped = failure.detail

    def to_state(self) -> dict[str, Any]:
        """Return what a restarted rendezvous needs to continue."""
        return {
            "boot": self.boot,
            "interrupted": self.interrupted,
            "stopped": self.stopped,
            "strikes": self.strikes,
            "decidedBlocks": self.decided_blocks,
            "closed": list(self.closed),
            "claims": self._claims.to_state(),
            "flight": None if self.flight is None else self.flight.to_state(),
            "peers": self.roster.to_state(),
        }
