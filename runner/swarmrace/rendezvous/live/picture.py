"""The data that the page shows, read from the conductor, which is never changed here.

docs/live-page.md lists the events and their fields.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from swarmrace.definitions import STAGES
from swarmrace.plan.trials import PEERS as TRIAL_PEERS
from swarmrace.rendezvous.conductor import Conductor
from swarmrace.rendezvous.flight import Flight
from swarmrace.rendezvous.live.curves import Curves
from swarmrace.rendezvous.live.handed_in import HandedIn
from swarmrace.rendezvous.live.time_left import RaceTimeLeft
from swarmrace.rendezvous.live.troubles import Troubles, short
from swarmrace.rendezvous.messages import LAST_BEFORE_START, STAGE_OF
from swarmrace.rendezvous.roster import RosterPeer
from swarmrace.scenario.scenario import Scenario
from swarmrace.statistics.summary import middle

MAX_RUNS = 100
"""Number of closed runs that are sent, the newest ones."""


class Picture:
    """Reads one race.

    Args:
        scenario: what is raced.
        conductor: the race.
        handed_in: the results that peers have uploaded.
    """

    def __init__(self, scenario: Scenario, conductor: Conductor, handed_in: HandedIn) -> None:
        self._scenario, self._conductor, self._handed_in = scenario, conductor, handed_in
        self._race = scenario.race
        self._time_left = RaceTimeLeft(scenario)
        self._troubles = Troubles()
        self._began_ns = conductor.clock.now_ns()
        self._run_id: str | None = None
        self._seen_ns = 0
        self._curves = Curves(self._race.leechers, self._race.file_size)

    def look(self) -> None:
        """Record what the next reading may no longer show: curves and failures."""
        self._troubles.collect(self._conductor, self._handed_in)
        flight = self._conductor.flight
        if flight is None or flight.run.is_trial:
            return
        if flight.run.id != self._run_id:
            self._run_id, self._seen_ns = flight.run.id, self._conductor.clock.now_ns()
            self._curves = Curves(self._race.leechers, self._race.file_size)
        if (since := self._since_start(flight)) is None or flight.decided:
            return
        for index in self._leechers(flight):
            self._curves.add(index, since, self._held(flight, self._peer(flight, index)))

    def race(self) -> dict[str, Any]:
        """Return what doesn't change: event `race`."""
        info, race = self._conductor.store.info, self._race
        return {
            "id": info.race_id,
            "name": info.name,
            "doubles": info.test_doubles,
            "swarmSize": race.swarm_size,
            "seeders": race.seeders,
            "fileSize": race.file_size,
            "runs": len(self._conductor.runs),
            "stages": list(STAGES),
            "entrants": [
                {"name": name, "kind": options.kind}
                for name, options in self._scenario.entrants.items()
            ],
        }

    def now(self) -> dict[str, Any]:
        """Return the current state: event `now`."""
        conductor = self._conductor
        flight, peers = conductor.flight, conductor.roster.peers.values()
        flown = (conductor.clock.now_ns() - self._seen_ns) / 1e9 if flight is not None else 0.0
        in_flight = None if flight is None else flight.run.id
        left = self._time_left.seconds(conductor.runs.values(), conductor.closed, in_flight, flown)
        return {
            "over": conductor.over,
            "state": self._state(),
            "trouble": short(conductor.stopped or conductor.store.trouble.text),
            "elapsed": round((conductor.clock.now_ns() - self._began_ns) / 1e9),
            "left": 0 if conductor.over else round(left),
            "reported": sum(peer.info is not None for peer in peers),
            "peers": len(peers),
            "closed": len(conductor.closed),
            "lost": [[peer.entrant, peer.index] for peer in peers if peer.lost],
            "run": None if flight is None else self._run(flight),
        }

    def runs(self) -> dict[str, Any]:
        """Return how the closed runs went: event `runs`."""
        conductor, leechers = self._conductor, self._race.leechers
        rows: list[dict[str, Any]] = []
        totals: dict[str, dict[str, Any]] = {
            name: {"closed": 0, "raced": 0, "whole": 0, "completed": 0, "transfers": 0}
            for name in self._scenario.entrants
        }
        numbers: dict[str, list[float]] = {name: [] for name in totals}
        for run_id, result in conductor.closed.items():
            run, total = self._handed_in.run_so_far(run_id), totals[result.entrant]
            raced = result.status == "raced"
            total["closed"] += 1
            if raced:
                total["raced"] += 1
                total["completed"] += run.completed
                total["transfers"] += leechers
                total["whole"] += run.completed == leechers
            number = run.number(leechers) if raced else None
            if number is not None:
                numbers[result.entrant].append(number)
            rows.append(
                {
                    "id": run_id,
                    "at": result.index,
                    "entrant": result.entrant,
                    "status": result.status,
                    "wall": round(result.wall_seconds, 2),
                    "why": short(result.failure.detail) if result.failure else "",
                    "median": _number(number),
                    "last": _number(run.last(leechers) if raced else None),
                    "completed": run.completed,
                }
            )
        for name, found in numbers.items():
            totals[name] |= {
                "median": _number(middle(found) if found else None),
                "least": _number(min(found) if found else None),
                "most": _number(max(found) if found else None),
            }
        return {"leechers": leechers, "entrants": totals, "rows": rows[-MAX_RUNS:]}

    def last(self) -> dict[str, Any]:
        """Return each entrant's newest closed run: event `last`."""
        found: dict[str, Any] = {}
        for run_id, result in self._conductor.closed.items():
            if result.status == "raced":
                found[result.entrant] = run_id
        return {name: self._last(name, run_id) for name, run_id in found.items()}

    def failures(self) -> dict[str, Any]:
        """Return what has failed, newest first: event `failures`."""
        return self._troubles.to_json()

    def curves(self) -> dict[str, Any]:
        """Return the curves of the run in flight so far: event `curves`, for new viewers."""
        return {"run": self._run_id, "points": self._curves.to_json()}

    @property
    def failed(self) -> int:
        """Number of known failures; changes when `failures` does."""
        return self._troubles.total

    @property
    def versions(self) -> tuple[int, int]:
        """A value that changes when `runs` and `last` do."""
        return len(self._conductor.closed), self._handed_in.version

    def _state(self) -> str:
        conductor = self._conductor
        if conductor.stopped:
            return "stopped"
        if conductor.interrupted:
            return "interrupted"
        if conductor.over:
            return "over"
        return "racing" if conductor.flight is not None or conductor.closed else "assembling"

    def _run(self, flight: Flight) -> dict[str, Any]:
        run, since = flight.run, self._since_start(flight)
        peers = [self._peer(flight, index) for index in self._indexes(flight)]
        arrived = flight.at("raced")
        return {
            "id": run.id,
            "at": run.index,
            "entrant": run.entrant,
            "trial": run.is_trial,
            "barrier": flight.barrier,
            "stage": STAGE_OF[flight.barrier],
            "since": None if since is None else round(since, 1),
            "failure": short(flight.failure.detail) if flight.failure else "",
            "seeders": list(run.seeders),
            # For every peer: its stage and the bytes it holds.
            "at_stage": [self._stage(flight, peer) for peer in peers],
            "held": [self._held(flight, peer) for peer in peers],
            "done": sorted(arrived - flight.transfer_failures.keys() - set(run.seeders)),
            "failed": sorted({**flight.failures, **flight.transfer_failures}),
        }

    def _last(self, entrant: str, run_id: str) -> dict[str, Any]:
        run = self._handed_in.run_so_far(run_id)
        return {
            "run": run_id,
            "seeders": list(self._conductor.runs[run_id].seeders),
            "seconds": {str(peer): _number(each) for peer, each in run.seconds.items()},
            "held": {
                str(peer): each
                for peer, each in run.held_bytes.items()
                if not math.isfinite(run.seconds[peer])
            },
            "curve": run.median_curve(self._race.leechers),
        }

    def _indexes(self, flight: Flight) -> Sequence[int]:
        return TRIAL_PEERS if flight.run.is_trial else range(self._race.swarm_size)

    def _leechers(self, flight: Flight) -> list[int]:
        return [each for each in self._indexes(flight) if each not in flight.run.seeders]

    def _peer(self, flight: Flight, index: int) -> RosterPeer:
        return self._conductor.roster.peers[flight.run.entrant, index]

    def _since_start(self, flight: Flight) -> float | None:
        """Return the seconds since the common start, or None before it."""
        release = flight.releases.get(LAST_BEFORE_START)
        if release is None or release.start_ns is None:
            return None
        return max(0.0, (self._conductor.clock.now_ns() - release.start_ns) / 1e9)

    def _held(self, flight: Flight, peer: RosterPeer) -> int:
        """Return the bytes that a peer holds, by its last heartbeat; all of them once it is
        done."""
        run = flight.run
        if peer.index in run.seeders or run.is_trial:
            return 0
        if peer.index in flight.at("raced") and peer.index not in flight.transfer_failures:
            return run.size_bytes
        return min(max(0, peer.progress_bytes), run.size_bytes) if peer.run_id == run.id else 0

    def _stage(self, flight: Flight, peer: RosterPeer) -> int:
        stage = peer.stage if peer.run_id == flight.run.id else "wait"
        return STAGES.index(stage) if stage in STAGES else 0


def _number(value: float | None) -> float | str | None:
    """Return a time for JSON, which has no infinity."""
    if value is None or math.isfinite(value):
        return None if value is None else round(value, 3)
    return "failed"
