"""All failures of a race so far, each with its reason, from every source that knows them."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from swarmrace.errors import Reason
from swarmrace.recording.records import Failure
from swarmrace.rendezvous.conductor import Conductor
from swarmrace.rendezvous.live.handed_in import HandedIn
from swarmrace.rendezvous.trial_book import failure_text as trial_text

MAX_ROWS = 50
"""Number of failures that are kept and sent, the newest ones."""
MAX_TEXT = 300
"""Maximum characters of a text that a peer or its program wrote."""
_OF_THE_RUN = frozenset((Reason.NOT_RUN, Reason.INTERRUPTED, Reason.TRACKER_LOST))
"""Reasons that end a run for all peers: a peer that was only informed of one has not failed
itself."""


@dataclass(slots=True)
class _Row:
    run: str
    entrant: str
    peer: int | None
    stage: str
    reason: str
    detail: str
    times: int = 1

    def is_like(self, other: _Row) -> bool:
        return (self.entrant, self.peer, self.detail) == (other.entrant, other.peer, other.detail)


class Troubles:
    """Rows, oldest first. A failure is added once, by the first source that knows it."""

    def __init__(self) -> None:
        self._rows: deque[_Row] = deque(maxlen=MAX_ROWS)
        self._known: set[tuple[str, int | None]] = set()
        self._seen: tuple[int, ...] = ()
        self.total = 0

    def collect(self, conductor: Conductor, handed_in: HandedIn) -> None:
        """Add what is new."""
        if (seen := _counts(conductor, handed_in)) == self._seen:
            return
        self._seen = seen
        for name, trial in conductor.trials.outcomes.items():
            if trial.outcome != "started" and trial.failure is not None:
                failure = Failure(reason=trial.failure.reason, stage=trial.failure.stage)
                run = f"trial of {name}"
                self._add(run, name, None, failure, f"{trial.outcome}: {trial_text(trial)}")
        flight = conductor.flight
        if flight is not None and not flight.run.is_trial:
            run, entrant = flight.run.id, flight.run.entrant
            for peer, failure in {**flight.failures, **flight.transfer_failures}.items():
                self._add(run, entrant, peer, failure)
            for peer, how in flight.lost.items():
                known = conductor.roster.peers[entrant, peer]
                self._add(
                    run, entrant, peer, Failure(reason=known.lost_reason, stage=known.stage), how
                )
        for (run, peer), failure in handed_in.take_failures().items():
            if run in conductor.runs:
                self._add(run, conductor.runs[run].entrant, peer, failure)
        for run, result in conductor.closed.items():
            if result.failure is not None:
                self._add(run, result.entrant, None, result.failure)

    def to_json(self) -> dict[str, Any]:
        """Return the newest rows, newest first, and the total number of failures."""
        return {"total": self.total, "rows": [asdict(row) for row in reversed(self._rows)]}

    def _add(
        self, run: str, entrant: str, peer: int | None, failure: Failure, detail: str | None = None
    ) -> None:
        if (run, peer) in self._known or (peer is not None and failure.reason in _OF_THE_RUN):
            return
        self._known.add((run, peer))
        self.total += 1
        row = _Row(
            run,
            entrant,
            peer,
            short(failure.stage),
            str(failure.reason),
            short(failure.detail if detail is None else detail),
        )
        # A lost peer may close hundreds of runs for one reason.
        if peer is None and self._rows and self._rows[-1].is_like(row):
            self._rows[-1].times += 1
        else:
            self._rows.append(row)


def short(text: str | None) -> str:
    """Return a text as one line of at most `MAX_TEXT` characters."""
    line = " ".join((text or "").split())
    return line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1]}…"


def _counts(conductor: Conductor, handed_in: HandedIn) -> tuple[int, ...]:
    """Return a value that changes when there may be something new."""
    flight = conductor.flight
    return (
        len(conductor.closed),
        len(conductor.trials.outcomes),
        handed_in.version,
        -1 if flight is None else flight.run.index,
        0 if flight is None else len(flight.failures),
        0 if flight is None else len(flight.transfer_failures),
        0 if flight is None else len(flight.lost),
    )
