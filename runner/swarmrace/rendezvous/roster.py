"""The roster: which peers the race needs, who has reported, and who was last heard from when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from swarmrace.errors import Reason
from swarmrace.recording.records import PeerInfo
from swarmrace.scenario.scenario import Scenario

_PAUSE_SECONDS = 2.0
"""When this process itself stood still for longer, its peers' silence is not counted."""


class RefusedError(Exception):
    """The request can't be answered as asked; `status` is the HTTP status that says so."""

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        super().__init__(detail)


@dataclass(slots=True)
class Peer:
    """One peer, as the rendezvous knows it."""

    entrant: str
    index: int
    info: PeerInfo | None = None
    instance: str | None = None
    """Names its process."""
    heard: float = 0.0
    """When it was last heard from, on `now`."""
    polls: int = 0
    """Long polls it has open; each is contact."""
    lost: str | None = None
    lost_by: Reason = Reason.PEER_LOST
    """What its missing results give as their reason."""
    gone: bool = False
    """It has said goodbye, being done."""
    stage: str = "wait"
    run_id: str | None = None
    progress_bytes: int = 0


class Roster:
    """All peers of a race.

    Args:
        scenario: what is raced.
        now: seconds that silence counts on.
    """

    def __init__(self, scenario: Scenario, now: Callable[[], float]) -> None:
        self.swarm_size = scenario.race.swarm_size
        self.peers = {
            (entrant, index): Peer(entrant, index)
            for entrant in scenario.entrants
            for index in range(self.swarm_size)
        }
        self._entrants = tuple(scenario.entrants)
        self._bounds = scenario.race.timeouts
        self._now = now
        self._began = self._ticked = now()

    def known(self, entrant: str, index: int) -> Peer:
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

    def heard(self, entrant: str, index: int, instance: str | None = None) -> Peer:
        """Return a peer that has just been heard from.

        Raises:
            RefusedError: 404 no such peer, 410 it is lost, 428 it has not said hello.
        """
        peer = self.known(entrant, index)
        refuse_lost(peer)
        if peer.info is None:
            raise RefusedError(428, f"peer {index} of {entrant} has not said hello")
        if instance and peer.instance and instance != peer.instance:
            raise RefusedError(410, f"another process has taken the place of {entrant}/{index}")
        peer.heard = self._now()
        return peer

    def take_in(self, info: PeerInfo, instance: str | None) -> None:
        """Note that a peer has reported."""
        peer = self.known(info.entrant, info.peer)
        peer.info, peer.instance, peer.gone = info, instance, False
        peer.heard = self._now()

    def another_process(self, info: PeerInfo, instance: str | None) -> bool:
        """Return whether another process than the one that reported speaks for a peer."""
        peer = self.known(info.entrant, info.peer)
        return peer.instance is not None and instance != peer.instance

    @property
    def assembled(self) -> bool:
        """Whether every peer has reported or is lost."""
        return all(p.info is not None or p.lost is not None for p in self.peers.values())

    def infos(self) -> list[PeerInfo]:
        """Return all peers that have reported."""
        return [peer.info for peer in self.peers.values() if peer.info is not None]

    def overdue(self) -> Iterator[tuple[Peer, str]]:
        """Yield each peer that is to be given up now, and why."""
        now = self._now()
        stood_still, self._ticked = now - self._ticked, now
        if stood_still > _PAUSE_SECONDS:
            for peer in self.peers.values():
                peer.heard += stood_still
        silent_before = now - self._bounds.heartbeat_seconds
        assembling = now < self._began + self._bounds.assemble_seconds
        for peer in self.peers.values():
            if peer.lost is not None or peer.gone:
                continue
            if peer.info is None:
                if not assembling:
                    yield peer, f"not reported within {self._bounds.assemble_seconds:g} s"
            elif peer.polls == 0 and peer.heard < silent_before:
                yield peer, f"not heard from for {self._bounds.heartbeat_seconds:g} s"

    def to_state(self) -> dict[str, Any]:
        """Return what a restarted rendezvous needs to know beside race.json's peers."""
        return {
            f"{peer.entrant}/{peer.index}": {
                "instance": peer.instance,
                "lost": peer.lost,
                "lost_by": str(peer.lost_by),
                "gone": peer.gone,
            }
            for peer in self.peers.values()
            if peer.instance or peer.lost
        }

    def resume(self, infos: list[PeerInfo], state: dict[str, Any], grace_seconds: float) -> None:
        """Take over what was kept; everybody counts as heard from until `grace_seconds` on."""
        for info in infos:
            peer = self.known(info.entrant, info.peer)
            peer.info, peer.heard = info, self._now() + grace_seconds
        for name, kept in state.items():
            entrant, _, index = name.rpartition("/")
            peer = self.known(entrant, int(index))
            peer.instance, peer.lost, peer.gone = kept["instance"], kept["lost"], kept["gone"]
            peer.lost_by = Reason(kept.get("lost_by", Reason.PEER_LOST))


def refuse_lost(peer: Peer) -> None:
    """Refuse a peer that was given up.

    Raises:
        RefusedError: 410 it is lost.
    """
    if peer.lost is not None:
        raise RefusedError(
            410, f"peer {peer.index} of {peer.entrant} was given up as lost: {peer.lost}"
        )
