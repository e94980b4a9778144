"""The roster: which peers the race needs, which have reported, and when each was last heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from swarmrace.errors import Reason
from swarmrace.recording.records import PeerInfo
from swarmrace.scenario.scenario import Scenario

_PAUSE_SECONDS = 2.0
"""If this process itself paused for longer, its peers' silence is not counted."""


class RefusedError(Exception):
    """A refused request; `status` is the HTTP status of the answer."""

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        super().__init__(detail)


@dataclass(slots=True)
class RosterPeer:
    """One peer, as the rendezvous knows it."""

    entrant: str
    index: int
    info: PeerInfo | None = None
    instance: str | None = None
    """Identifies its process."""
    last_heard: float = 0.0
    """When it was last heard from, by `now`."""
    polls: int = 0
    """Number of its open long polls. A peer with one is in contact."""
    lost: str | None = None
    lost_reason: Reason = Reason.PEER_LOST
    """The reason to give for its missing results."""
    has_left: bool = False
    """It was done and has said goodbye."""
    stage: str = "wait"
    run_id: str | None = None
    progress_bytes: int = 0


class Roster:
    """All peers of a race.

    Args:
        scenario: what is raced.
        now: returns the seconds that silence is measured by.
    """

    def __init__(self, scenario: Scenario, now: Callable[[], float]) -> None:
        self.swarm_size = scenario.race.swarm_size
        self.peers = {
            (entrant, index): RosterPeer(entrant, index)
            for entrant in scenario.entrants
            for index in range(self.swarm_size)
        }
        self._entrants = tuple(scenario.entrants)
        self._bounds = scenario.race.timeouts
        self._now = now
        self._began = self._ticked = now()

    def known(self, entrant: str, index: int) -> RosterPeer:
        """Return a peer of this race.

        Raises:
            RefusedError: 404 no such peer.
        """
        peer = self.peers.get((entrant, index))
        if peer is None:
            raise RefusedError(
                404,
                f"no peer {index} of {entrant!r}: expected one of {', '.join(self._entrants)} "
                f"and 0 to {self.swarm_size - 1}",
            )
        return peer

    def contact(self, entrant: str, index: int, instance: str | None = None) -> RosterPeer:
        """Record contact with a peer and return it.

        Raises:
            RefusedError: 404 no such peer, 410 it is lost, 428 it has not said hello.
        """
        peer = self.known(entrant, index)
        refuse_lost(peer)
        if peer.info is None:
            raise RefusedError(428, f"peer {index} of {entrant} has not said hello")
        if instance and peer.instance and instance != peer.instance:
            raise RefusedError(410, f"another process has taken the place of {entrant}/{index}")
        peer.last_heard = self._now()
        return peer

    def admit(self, info: PeerInfo, instance: str | None) -> None:
        """Record that a peer has reported."""
        peer = self.known(info.entrant, info.peer)
        peer.info, peer.instance, peer.has_left = info, instance, False
        peer.last_heard = self._now()

    def is_another_process(self, info: PeerInfo, instance: str | None) -> bool:
        """Return whether this isn't the process that reported as the peer before."""
        peer = self.known(info.entrant, info.peer)
        return peer.instance is not None and instance != peer.instance

    @property
    def assembled(self) -> bool:
        """Whether every peer has reported or is lost."""
        return all(p.info is not None or p.lost is not None for p in self.peers.values())

    def infos(self) -> list[PeerInfo]:
        """Return all peers that have reported."""
        return [peer.info for peer in self.peers.values() if peer.info is not None]

    def overdue(self) -> Iterator[tuple[RosterPeer, str]]:
        """Yield each peer to give up on now, and why."""
        now = self._now()
        pause, self._ticked = now - self._ticked, now
        if pause > _PAUSE_SECONDS:
            for peer in self.peers.values():
                peer.last_heard += pause
        silent_before = now - self._bounds.heartbeat_seconds
        assembling = now < self._began + self._bounds.assemble_seconds
        for peer in self.peers.values():
            if peer.lost is not None or peer.has_left:
                continue
            if peer.info is None:
                if not assembling:
                    yield peer, f"not reported within {self._bounds.assemble_seconds:g} s"
            elif peer.polls == 0 and peer.last_heard < silent_before:
                yield peer, f"not heard from for {self._bounds.heartbeat_seconds:g} s"

    def to_state(self) -> dict[str, Any]:
        """Return what a restarted rendezvous needs to know in addition to race.json's peers."""
        return {
            f"{peer.entrant}/{peer.index}": {
                "instance": peer.instance,
                "lost": peer.lost,
                "lost_by": str(peer.lost_reason),
                "gone": peer.has_left,
            }
            for peer in self.peers.values()
            if peer.instance or peer.lost
        }

    def resume(self, infos: list[PeerInfo], state: dict[str, Any], grace_seconds: float) -> None:
        """Restore what was kept; every peer counts as heard from for `grace_seconds` from now."""
        for info in infos:
            peer = self.known(info.entrant, info.peer)
            peer.info, peer.last_heard = info, self._now() + grace_seconds
        for name, kept in state.items():
            entrant, _, index = name.rpartition("/")
            peer = self.known(entrant, int(index))
            peer.instance, peer.lost, peer.has_left = kept["instance"], kept["lost"], kept["gone"]
            peer.lost_reason = Reason(kept.get("lost_by", Reason.PEER_LOST))


def refuse_lost(peer: RosterPeer) -> None:
    """Refuse a peer that was given up as lost.

    Raises:
        RefusedError: 410 it is lost.
    """
    if peer.lost is not None:
        raise RefusedError(
            410, f"peer {peer.index} of {peer.entrant} was given up as lost: {peer.lost}"
        )
