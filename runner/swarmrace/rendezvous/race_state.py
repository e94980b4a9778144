"""What is known of a race: which runs are closed, which one is open, what stops the others.

Answers questions; `Conductor` decides what happens next.
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
"""Takes the folder and how many blocks have ended; returns whether everything is decided."""
INTERRUPTED = "the race was interrupted"
DECIDED = "every acceptance was decided before"
_log = logging.getLogger(__name__)
_STRIKES = 2
"""So many runs in a row lost to the infrastructure end the race: it can't go on here."""


class RaceState:
    """The runs of one race, its trials, its peers, and how far it has come.

    Args:
        scenario: what is raced.
        store: where it is kept.
        trials: whether programs are tried first.
        now: seconds that deadlines and silence count on.
        stop_rule: asked after each block but the last whether the race may stop.
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
        """What of the infrastructure stopped the race; empty where nothing did."""
        self.decided_blocks: int | None = None
        """After so many blocks everything was decided, and no further run is raced."""
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
        """Return whether a run or trial is over, or said to be."""
        return run_id in self.closed or run_id in self._claims or self.trials.over(run_id)

    def is_open(self, run_id: str) -> bool:
        """Return whether a run is in flight."""
        return self.flight is not None and self.flight.run.id == run_id

    def entrant_over(self, entrant: str) -> bool:
        """Return whether no run of an entrant will come any more."""
        return self.ending or self._last_run[entrant] in self.closed

    @property
    def ending(self) -> bool:
        """Whether no further run is opened."""
        return self.interrupted or bool(self.stopped)

    @property
    def stage(self) -> str:
        """What the peers of the run in flight are at."""
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
        """Return why a run goes on no more, or None if it does or is yet to come."""
        if run_id in self.closed:
            return self.closed[run_id].failure
        if self.flight is not None and self.flight.run.id == run_id:
            return self.flight.failure
        return None

    def why_not_raced(self, run: Run) -> tuple[Reason, str] | None:
        """Return why a run that has not begun never will, or None if it may be raced."""
        if self.stopped:
            return Reason.INFRASTRUCTURE, self.stopped
        if self.interrupted:
            return Reason.INTERRUPTED, INTERRUPTED
        for peer in self.roster.peers.values():
            if peer.lost and peer.entrant == run.entrant:
                return Reason.NOT_RUN, f"peer {peer.index} lost: {peer.lost}"
        refusal = self.trials.refusal(run.entrant)
        return (Reason.NOT_RUN, refusal) if refusal else None

    def look(self, after: Run) -> list[Run]:
        """Stop if the block of a run has ended, with all before it, and everything is decided;
        return the runs that are left out."""
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
        except SwarmraceError as error:  # then the race goes on to its end
            _log.warning("the look after %d blocks failed: %s", blocks, error)
            return []
        if not decided:
            return []
        self.store.write_info(decided_blocks=blocks)
        return self.leave_out_from(blocks)

    def leave_out_from(self, blocks: int | None) -> list[Run]:
        """Close the runs after a decision, which leave no record: they were never due. None: there
        was no decision."""
        self.decided_blocks = blocks
        if blocks is None:
            return []
        left_out = [run for run in self.runs.values() if run.repetition >= blocks]
        for run in left_out:
            result = not_raced(run, self.store.info.race_id, Reason.NOT_RUN, DECIDED)
            self.closed.setdefault(run.id, result)
        return left_out

    def count_strikes(self, closed: RunResult) -> None:
        """Stop the race where run after run is lost to the infrastructure."""
        failure = closed.failure
        struck = failure is not None and failure.reason is Reason.INFRASTRUCTURE
        self.strikes = self.strikes + 1 if struck else 0
        if failure is not None and self.strikes >= _STRIKES and not self.stopped:
            self.stopped = failure.detail

    def to_state(self) -> dict[str, Any]:
        """Return what a restart needs to go on from here."""
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
