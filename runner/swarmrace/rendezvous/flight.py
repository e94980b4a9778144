"""One run in flight: which peers have arrived at which barrier, and when barriers are released.

No I/O and no waiting: `Conductor` reports events to it and queries its state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from datetime import UTC, datetime
from typing import Any, Final, Literal

from swarmrace.clock import Clock
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason
from swarmrace.recording.records import Failure, RunResult
from swarmrace.rendezvous.messages import LAST_BEFORE_START, STAGE_OF, Release
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems.run import Run

BOUNDS: Final[dict[str, tuple[str, int]]] = {
    "prepared": ("prepare_seconds", 2),  # the file, then the system
    "first": ("publish_seconds", 1),
    "published": ("publish_seconds", 1),
    "ready": ("settle_seconds", 1),
    "raced": ("transfer_seconds", 1),
    "cleared": ("verify_seconds", 2),  # verification, then removal
}
"""The deadline of each barrier after `open`: the timeout that bounds it, and a factor. A Job's
deadline is computed from it too (`swarmrace.backends.kubernetes.pods`)."""
MARGIN_SECONDS: Final = 10.0
"""Added to each deadline, so that a peer's own timeout fires first."""
MAX_LEAD_SECONDS: Final = 2.0
"""Maximum time from the release of `ready` to the start instant; added to the transfer's."""

_BEFORE_START = frozenset(BARRIERS[: BARRIERS.index(LAST_BEFORE_START) + 1])


class Flight:
    """The run in flight.

    Args:
        run: the run, just opened.
        peers: its participants' indexes.
        timeouts: the scenario's.
        clock: stamps the phases and the start.
        now: returns the seconds that deadlines are measured by; not the clock, which may be
            virtual.
        lead_seconds: from the release of `ready` to the start instant.
        margin_seconds: added to every deadline, so that a peer's own timeout fires first.
        released: called with each barrier's name once it is released.
        barriers: the barriers of the run, in order; a trial has fewer.
    """

    def __init__(
        self,
        run: Run,
        peers: set[int],
        timeouts: Timeouts,
        clock: Clock,
        now: Callable[[], float],
        *,
        lead_seconds: float,
        margin_seconds: float,
        released: Callable[[str], None],
        barriers: Sequence[str] = BARRIERS,
    ) -> None:
        self.run = run
        self.opened_utc = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.status: Literal["raced", "not raced", "aborted"] = "not raced"
        self.failure: Failure | None = None
        self.lost: dict[int, str] = {}
        self.late: set[int] = set()
        """Peers that were not lost but missed the deadline of `cleared`."""
        self.failures: dict[int, Failure] = {}
        """Failures before the start, by the peer that reported them."""
        self.transfer_failures: dict[int, Failure] = {}
        """Failures of transfers, by the leecher that reports them at `raced`."""
        self.phases: dict[str, float] = {}
        self.releases: dict[str, Release] = {"open": Release("open", True)}
        self._present = set(peers)
        self._arrived: dict[str, set[int]] = {barrier: set() for barrier in barriers}
        self._barriers = barriers
        self._clock, self._now, self._notify = clock, now, released
        self._lead_seconds, self._margin_seconds = lead_seconds, margin_seconds
        self._timeouts = timeouts
        self._opened_ns = self._released_ns = clock.now_ns()
        self._ended_ns: int | None = None
        self._await("prepared")

    @property
    def ended(self) -> bool:
        """Whether `cleared` is released and the run can be closed."""
        return "cleared" in self.releases

    @property
    def decided(self) -> bool:
        """Whether the outcome is final: only `cleared` is still to come."""
        return self.barrier == "cleared"

    @property
    def started(self) -> bool:
        """Whether the start signal was given."""
        release = self.releases.get(LAST_BEFORE_START)
        return release is not None and release.go

    def at(self, barrier: str) -> Set[int]:
        """Return the peers that have arrived at a barrier."""
        return self._arrived.get(barrier, frozenset())

    def arrive(self, peer: int, barrier: str, failure: Failure | None) -> None:
        """Record a peer's arrival. Arriving again changes nothing.

        A failure of the infrastructure ends the run for all peers, and no entrant is blamed.
        """
        if barrier not in self._arrived:
            return
        if failure is not None and failure.reason is Reason.INFRASTRUCTURE and not self.ended:
            self._end_by_infrastructure(peer, failure)
        if failure is not None and barrier in _BEFORE_START and peer not in self._arrived[barrier]:
            self._arrived[barrier].add(peer)
            self.failures[peer] = failure
            self._not_run(
                failure.stage,
                f"peer {peer} failed in {failure.stage}: {failure.reason}"
                + (f": {failure.detail}" if failure.detail else ""),
            )
            return
        self._arrived[barrier].add(peer)
        if failure is not None and barrier == "raced":
            self.transfer_failures[peer] = failure
        if barrier == self.barrier:
            self._missing.discard(peer)
            self._advance()

    def leave(self, peer: int) -> None:
        """Record that a peer has left for good without being lost; it is no longer waited for."""
        self._present.discard(peer)
        self._missing.discard(peer)
        self._advance()

    def lose(self, peer: int, stage: str, how: str) -> None:
        """Record that a peer is lost. Before the start this ends the run; later the run
        continues."""
        if self.ended or peer in self.lost or peer not in self._present:
            return
        self.lost[peer] = how
        self._present.discard(peer)
        self._missing.discard(peer)
        if self.failure is None and not self.started:
            self._not_run(stage, f"peer {peer} lost in {stage}: {how}")
        self._advance()

    def abort(self, failure: Failure, extra_seconds: float = 0.0) -> None:
        """End the run from outside. Only `cleared` remains, with `extra_seconds` more time.

        A run that has already failed, or whose last leecher has ended, keeps its outcome.
        """
        if self.failure is None and not self.decided:
            self.status = "aborted"
            self._fail(failure, extra_seconds)

    def check_deadline(self) -> None:
        """End what has missed its deadline."""
        if self.ended or self._now() < self.deadline:
            return
        stage, missing = STAGE_OF[self.barrier], _listing(self._missing)
        if self.barrier in _BEFORE_START:
            self._not_run(stage, f"{missing} not at `{self.barrier}` in time (stage {stage})")
            return
        if self.barrier == "cleared":
            self.late = set(self._missing)
        self._missing.clear()
        self._advance()

    def result(self, race_id: str) -> RunResult:
        """Return the run's record as of now."""
        end_ns = self._clock.now_ns() if self._ended_ns is None else self._ended_ns
        return RunResult(
            race_id=race_id,
            run_id=self.run.id,
            index=self.run.index,
            entrant=self.run.entrant,
            repetition=self.run.repetition,
            seeders=list(self.run.seeders),
            status=self.status,
            failure=self.failure,
            opened_utc=self.opened_utc,
            wall_seconds=(end_ns - self._opened_ns) / 1e9,
            phases=self.phases,
            lost=self.lost,
        )

    def to_state(self) -> dict[str, Any]:
        """Return what a restarted rendezvous needs to know about this run. Releases and outcome
        are included once the run is decided; a run that is cut off earlier is lost anyway."""
        state = {
            "run_id": self.run.id,
            "opened_utc": self.opened_utc,
            "lost": {str(peer): how for peer, how in self.lost.items()},
        }
        if self.decided:
            state["decided"] = {
                "status": self.status,
                "failure": self.failure and self.failure.model_dump(mode="json"),
                "seconds": (self._clock.now_ns() - self._opened_ns) / 1e9,
                "phases": self.phases,
                "releases": [release.to_json() for release in self.releases.values()],
            }
        return state

    def resume(self, state: dict[str, Any], left: set[int], extra_seconds: float) -> None:
        """Restore what `to_state` returned before a restart.

        Args:
            state: from `to_state`.
            left: peers that have said goodbye.
            extra_seconds: how much longer the other peers are waited for.
        """
        self.opened_utc = state["opened_utc"]
        self.lost = {int(peer): how for peer, how in state["lost"].items()}
        self._present -= self.lost.keys() | left
        self._missing &= self._present
        kept = state.get("decided")
        if kept is None:
            return
        self.status, self.phases = kept["status"], kept["phases"]
        self.failure = kept["failure"] and Failure.model_validate(kept["failure"])
        # This clock may be another machine's, so the time passed on the old one is a duration.
        self._opened_ns = self._clock.now_ns() - round(kept["seconds"] * 1e9)
        released = [Release.from_json(each) for each in kept["releases"]]
        self.releases = {release.barrier: release for release in released}
        self._await("cleared", extra_seconds)
        self._advance()

    def _end_by_infrastructure(self, peer: int, failure: Failure) -> None:
        if self.failure is not None and self.failure.reason is not Reason.NOT_RUN:
            return
        self.status = "aborted" if self.started else "not raced"
        detail = f"peer {peer}: {failure.detail}"
        self._fail(failure.model_copy(update={"detail": detail}))

    def _not_run(self, stage: str, detail: str) -> None:
        if self.failure is None:
            self._fail(Failure(reason=Reason.NOT_RUN, stage=stage, detail=detail))

    def _fail(self, failure: Failure, extra_seconds: float = 0.0) -> None:
        self.failure = failure
        if not self.decided:
            begun = self._barriers.index(self.barrier)
            left = max(0.0, self.deadline - self._now())
            # A peer still in its stage may only learn of this once its own timeout ends the stage.
            extra_seconds = max(extra_seconds, 0.0 if self.started else left)
            for barrier in self._barriers[begun:-1]:
                self._release(Release(barrier, False, failure))
        self._await("cleared", extra_seconds)
        self._advance()

    def _advance(self) -> None:
        """Release every barrier at which no peer is missing any more."""
        while not self.ended and not self._missing:
            barrier = self.barrier
            if barrier == LAST_BEFORE_START:
                self.status = "raced"
                start_ns = self._clock.now_ns() + round(self._lead_seconds * 1e9)
                self._release(Release(barrier, True, start_ns=start_ns))
            else:
                self._release(Release(barrier, True, self.failure))
            if not self.ended:
                self._await(self._barriers[self._barriers.index(barrier) + 1])
        if self.ended and self._ended_ns is None:
            self._ended_ns = self._clock.now_ns()

    def _release(self, release: Release) -> None:
        now_ns = self._clock.now_ns()
        if release.go:
            self.phases[release.barrier] = (now_ns - self._released_ns) / 1e9
            self._released_ns = now_ns
        self.releases[release.barrier] = release
        self._notify(release.barrier)

    def _await(self, barrier: str, extra_seconds: float = 0.0) -> None:
        self.barrier = barrier
        self._missing = self._present - self._arrived[barrier]
        bound, times = BOUNDS[barrier]
        seconds = times * getattr(self._timeouts, bound)
        if barrier == "raced":
            seconds += self._lead_seconds
        self.deadline = self._now() + seconds + self._margin_seconds + extra_seconds


def _listing(peers: set[int]) -> str:
    shown = sorted(peers)[:8]
    more = f" and {len(peers) - len(shown)} more" if len(peers) > len(shown) else ""
    return f"peer{'s' if len(peers) > 1 else ''} {', '.join(map(str, shown))}{more}"
