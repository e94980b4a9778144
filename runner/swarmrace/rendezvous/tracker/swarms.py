"""The members of each BitTorrent swarm, in memory only. Silent members expire."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

_SWEEP_SECONDS = 5.0
_LIBTORRENT_SECONDS = 300
"""libtorrent, and so qBittorrent, announces no more often than this, whatever interval it is given
(`min_announce_interval`)."""
_GRACE_SECONDS = 60


def expire_seconds(interval_seconds: float) -> float:
    """Return the silence in seconds after which a member expires: one announce may be lost, and
    the next may be late."""
    return 2 * max(interval_seconds, _LIBTORRENT_SECONDS) + _GRACE_SECONDS


@dataclass(slots=True)
class Member:
    """One endpoint of one client in a swarm."""

    endpoint: bytes
    """Compact form: 4 or 16 address bytes and 2 port bytes, network order."""
    peer_id: bytes
    complete: bool
    last_heard: float
    key: bytes = b""
    """The client's `key` (not in BEP 3, but clients send it), which identifies its session; empty
    if it gave none."""

    def is_session_of(self, peer_id: bytes, key: bytes) -> bool:
        """Return whether this is that client's session, not another one at the same endpoint."""
        return self.peer_id == peer_id and (not key or not self.key or self.key == key)


class AnnouncedSwarm:
    """The members of one info-hash.

    A client that announces from several addresses (BEP 7) has several endpoints but counts once.
    """

    def __init__(self) -> None:
        self.members: dict[bytes, Member] = {}
        self.downloaded = 0
        self._lists: dict[int, list[bytes]] = {6: [], 18: []}
        self._places: dict[bytes, int] = {}
        self._clients: dict[bytes, list[int]] = {}  # by peer id: endpoints, complete endpoints
        self._complete_clients = 0

    @property
    def complete(self) -> int:
        """Number of clients that have the whole content."""
        return self._complete_clients

    @property
    def incomplete(self) -> int:
        """Number of clients that don't have it yet."""
        return len(self._clients) - self._complete_clients

    def put(
        self, endpoint: bytes, peer_id: bytes, complete: bool, heard: float, key: bytes = b""
    ) -> None:
        """Add a member, or update it."""
        member = self.members.get(endpoint)
        if member is not None and (key or member.peer_id != peer_id):
            member.key = key
        if member is not None and member.peer_id == peer_id and member.complete == complete:
            member.last_heard = heard
            return
        if member is not None:
            self._count(member, -1)
            member.peer_id, member.complete, member.last_heard = peer_id, complete, heard
        else:
            member = self.members[endpoint] = Member(endpoint, peer_id, complete, heard, key)
            ordered = self._lists[len(endpoint)]
            self._places[endpoint] = len(ordered)
            ordered.append(endpoint)
        self._count(member, 1)

    def remove(self, endpoint: bytes) -> None:
        """Remove a member, if it is there."""
        member = self.members.pop(endpoint, None)
        if member is None:
            return
        self._count(member, -1)
        ordered, place = self._lists[len(endpoint)], self._places.pop(endpoint)
        last = ordered.pop()
        if last is not endpoint and last != endpoint:
            ordered[place] = last
            self._places[last] = place

    def sample(self, count: int, peer_id: bytes) -> list[bytes]:
        """Return up to `count` endpoints of both families, drawn at random, without the client's
        own."""
        v4, v6 = self._lists[6], self._lists[18]
        own = self._clients.get(peer_id, (0, 0))[0]
        total, enough = len(v4) + len(v6), count + own
        places = random.sample(range(total), enough) if total > enough else range(total)
        drawn = [v4[place] if place < len(v4) else v6[place - len(v4)] for place in places]
        if own:
            drawn = [each for each in drawn if self.members[each].peer_id != peer_id]
        return drawn[:count]

    def has_completed(self, peer_id: bytes) -> bool:
        """Return whether a client has the whole content, by any of its endpoints."""
        return self._clients.get(peer_id, (0, 0))[1] > 0

    def expire(self, heard_before: float) -> None:
        """Remove members that haven't announced since."""
        for endpoint in [m.endpoint for m in self.members.values() if m.last_heard < heard_before]:
            self.remove(endpoint)

    def _count(self, member: Member, step: int) -> None:
        entry = self._clients.setdefault(member.peer_id, [0, 0])
        was_complete = entry[1] > 0
        entry[0] += step
        entry[1] += step * member.complete
        self._complete_clients += (entry[1] > 0) - was_complete
        if not entry[0]:
            del self._clients[member.peer_id]


class Swarms:
    """All swarms, bounded in number and in members.

    Args:
        now: returns the seconds that silence is measured by.
        expire_seconds: a member silent for this long expires.
        max_members: over all swarms; beyond it new clients get peers but are not listed. At most
            this many swarms without members are kept, for their count of downloads, which never
            falls.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        expire_seconds: float = expire_seconds(0),
        max_members: int = 100_000,
    ) -> None:
        self._now, self._expire_seconds, self._max_members = now, expire_seconds, max_members
        self._swarms: dict[bytes, AnnouncedSwarm] = {}
        self._members = 0
        self._swept = now()

    def get(self, info_hash: bytes) -> AnnouncedSwarm | None:
        """Return the swarm of a hash, or None if no client has announced it."""
        self._sweep()
        return self._swarms.get(info_hash)

    def items(self) -> list[tuple[bytes, AnnouncedSwarm]]:
        """Return all swarms."""
        self._sweep()
        return list(self._swarms.items())

    def announce(
        self,
        info_hash: bytes,
        endpoint: bytes,
        peer_id: bytes,
        *,
        complete: bool | None,
        stopped: bool,
        completed: bool,
        key: bytes = b"",
        listed: bool = True,
    ) -> AnnouncedSwarm:
        """Record an announce and return the swarm after it.

        Args:
            info_hash: the swarm's hash.
            endpoint: where the client can be reached.
            peer_id: the client's id.
            complete: whether it has the whole content; None if it doesn't say: then as before.
            stopped: whether it leaves. That doesn't end another client's session at its endpoint.
            completed: whether it has just completed the content.
            key: distinguishes two sessions of one peer id, if both give one.
            listed: False for a client that can't be reached: it gets peers, but none gets it.
        """
        now = self._sweep()
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            swarm = AnnouncedSwarm()
            if stopped or not listed or self._members >= self._max_members:
                return swarm
            self._swarms[info_hash] = swarm
        before, old = len(swarm.members), swarm.members.get(endpoint)
        if complete is None:
            complete = swarm.has_completed(peer_id)
        if stopped:
            if old is not None and old.is_session_of(peer_id, key):
                swarm.remove(endpoint)
        elif listed and (old is not None or self._members < self._max_members):
            if completed and complete and not swarm.has_completed(peer_id):
                swarm.downloaded += 1
            swarm.put(endpoint, peer_id, complete, now, key)
        self._members += len(swarm.members) - before
        return swarm

    def _sweep(self) -> float:
        """Remove expired members, every few seconds; return the time."""
        now = self._now()
        if now - self._swept <= _SWEEP_SECONDS:
            return now
        self._swept = now
        for info_hash, swarm in list(self._swarms.items()):
            swarm.expire(now - self._expire_seconds)
            if not swarm.members and (
                not swarm.downloaded or len(self._swarms) > self._max_members
            ):
                del self._swarms[info_hash]
        self._members = sum(len(swarm.members) for swarm in self._swarms.values())
        return now
