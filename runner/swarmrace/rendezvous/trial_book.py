"""The trials of one race: which are still to be held, and how each went.

No waiting; `RunSequence` opens and closes them. Each outcome is in race.json before the race goes
on.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from swarmrace.errors import Reason
from swarmrace.plan.trials import program_ids, trials
from swarmrace.recording.records import Failure, Trial
from swarmrace.rendezvous.flight import Flight
from swarmrace.rendezvous.messages import Claim, Release
from swarmrace.rendezvous.store import Store
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.run import Run


@dataclass(frozen=True)
class TrialPolicy:
    """Whether programs are tried before the first run, and what a failure means."""

    enabled: bool = False
    """Whether trials are held at all."""
    known: Mapping[str, Trial] = field(default_factory=dict)
    """Outcomes of earlier trials by `program_id`. A program that failed is not tried again. If
    every program of the race is among them, none that started is tried again either."""
    all_must_start: bool = False
    """Whether one program that never started stops the whole race, or the others still race."""


class TrialBook:
    """The outcomes of a race's trials.

    Args:
        scenario: what is raced.
        policy: whether programs are tried, and what a failure means.
        store: where outcomes are written; outcomes that are already there are kept.
    """

    def __init__(self, scenario: Scenario, policy: TrialPolicy, store: Store) -> None:
        self.runs = {run.id: run for run in trials(scenario)}
        self.outcomes: dict[str, Trial] = {}
        """By entrant."""
        self._programs = program_ids(scenario)
        self._enabled, self._all_must_start = policy.enabled, policy.all_must_start
        self._store = store
        self.outcomes.update(self._known(policy.known))
        self.outcomes.update(store.info.trials)
        store.info = store.info.model_copy(update={"trials": dict(self.outcomes)})

    def next(self, begun: Container[str]) -> Run | None:
        """Return the next trial to hold, or None when all have been held.

        Args:
            begun: entrants with a closed run: their trial would come too late.
        """
        if not self._enabled:
            return None
        for run in self.runs.values():
            if not self.over(run.id) and run.entrant not in begun:
                return run
        return None

    def close(self, flight: Flight) -> None:
        """Record how a trial ended."""
        seconds = flight.result(self._store.info.race_id).wall_seconds
        joined = flight.releases.get("prepared")
        failure = flight.failure
        if joined is not None and joined.go:
            self._end(flight.run, None, seconds)
            return
        assert failure is not None
        own = [each for _, each in sorted(flight.failures.items())]
        # A peer that gave up because the other had failed comes last.
        own.sort(key=lambda each: each.reason in (Reason.NOT_RUN, Reason.TIMEOUT))
        if failure.reason is Reason.NOT_RUN and (own or flight.lost):
            failure = own[0] if own else _lost(flight)
        self._end(flight.run, failure, seconds)

    def cut_short(self, run_id: str, reason: Reason, detail: str) -> None:
        """Record that the infrastructure ended a trial, which says nothing about the program."""
        self._end(self.runs[run_id], Failure(reason=reason, stage="prepare", detail=detail))

    def record_claim(self, run_id: str, claim: Claim) -> None:
        """Record how a trial went under an earlier rendezvous, as a peer has reported it."""
        if not self.over(run_id):
            self._end(self.runs[run_id], claim.failure if claim.status == "not raced" else None)

    def over(self, run_id: str) -> bool:
        """Return whether this is a trial and has an outcome."""
        return run_id in self.runs and self.runs[run_id].entrant in self.outcomes

    def release(self, run_id: str, barrier: str, *, over: bool) -> Release | None:
        """Return the release of a trial that is not open, or None while it may still be opened.

        Args:
            run_id: the trial.
            barrier: where a peer waits.
            over: whether the entrant has no run left.
        """
        if self._enabled and not over and not self.over(run_id):
            return None
        outcome = self.outcomes.get(self.runs[run_id].entrant)
        # At `open` a known outcome isn't a failure of the peer that asks.
        failure = None if outcome is None or barrier == "open" else outcome.failure
        return Release(barrier, barrier == "cleared", failure, over=over)

    def refusal(self, entrant: str) -> str | None:
        """Return why an entrant is not raced, or None if it may be."""
        failed = [name for name, trial in self.outcomes.items() if trial.outcome == "never started"]
        if entrant in failed:
            return f"{entrant} never started: {failure_text(self.outcomes[entrant])}"
        if failed and self._all_must_start:
            return f"nothing is raced, because {', '.join(failed)} never started"
        return None

    def _end(self, run: Run, failure: Failure | None, seconds: float = 0.0) -> None:
        infrastructure = (Reason.TRACKER_LOST, Reason.INTERRUPTED, Reason.INFRASTRUCTURE)
        outcome = "started" if failure is None else "never started"
        if failure is not None and failure.reason in infrastructure:
            outcome = "unknown"
        trial = Trial(
            outcome=outcome,
            tried=run.entrant,
            program=self._programs[run.entrant],
            failure=failure,
            seconds=seconds,
        )
        self.outcomes[run.entrant] = trial
        if outcome == "never started":
            # Entrants with the same program that haven't been tried yet aren't raced either.
            for entrant, program in self._programs.items():
                if program == trial.program:
                    self.outcomes.setdefault(entrant, trial)
        self._store.write_info(trials=dict(self.outcomes))

    def _known(self, known: Mapping[str, Trial]) -> dict[str, Trial]:
        """Return the outcomes of earlier trials that apply to this race's entrants.

        A start counts only if every entrant's program is known: if only some entrants were tried,
        the race would begin with peers that aren't equally fresh.
        """
        found = {name: known[each] for name, each in self._programs.items() if each in known}
        failed = {name: trial for name, trial in found.items() if trial.outcome == "never started"}
        return found if len(found) == len(self._programs) else failed


def failure_text(trial: Trial) -> str:
    """Return why a program never started, in one line."""
    failure = trial.failure
    if failure is None:
        return "no reason is recorded"
    detail = f": {failure.detail}" if failure.detail else ""
    return f"{failure.reason} in {failure.stage}{detail}"


def _lost(flight: Flight) -> Failure:
    peer, how = next(iter(sorted(flight.lost.items())))
    return Failure(reason=Reason.PEER_LOST, stage="prepare", detail=f"peer {peer}: {how}")
