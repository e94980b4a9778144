"""Who is in which BitTorrent swarm: in memory, forgotten by a restart, expiring by silence."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

_SWEEP_SECONDS = 5.0
_CLIENTS_OWN_SECONDS = 300
"""libtorrent, and so qBittorrent, announces no more often than this whatever interval it is given
(`min_announce_interval`)."""
_GRACE_SECONDS = 60


def expire_seconds(interval_seconds: float) -> float:
    """Return after which silence a member is forgotten: one announce may be lost, and the next may
    be late."""
    return 2 * max(interval_seconds, _CLIENTS_OWN_SECONDS) + _GRACE_SECONDS


@dataclass(slots=True)
class Member:
    """One endpoint of one client in a swarm."""

    endpoint: bytes
    """Compact form: 4 or 16 address bytes and 2 port bytes, network order."""
    peer_id: bytes
    complete: bool
    heard: float
    key: bytes = b""
    """What the client chose to be known by (BEP 3's implementations: `key`); empty if nothing."""

    def is_of(self, peer_id: bytes, key: bytes) -> bool:
        """Return whether this is the session of that client, and not another one at its address."""
        return self.peer_id == peer_id and (not key or not self.key or self.key == key)


class Swarm:
    """The members of one info-hash.

    A client that announces from several addresses (BEP 7) has several endpoints and counts once.
    """

    def __init__(self) -> None:
        self.members: dict[bytes, Member] = {}
        self.downloaded = 0
        self._lists: dict[int, list[bytes]] = {6: [], 18: []}
        self._places: dict[bytes, int] = {}
        self._clients: dict[bytes, list[int]] = {}  # peer id: endpoints, complete ones among them
        self._complete_clients = 0

    @property
    def complete(self) -> int:
        """Clients that have everything."""
        return self._complete_clients

    @property
    def incomplete(self) -> int:
        """Clients that still fetch."""
        return len(self._clients) - self._complete_clients

    def put(
        self, endpoint: bytes, peer_id: bytes, complete: bool, heard: float, key: bytes = b""
    ) -> None:
        """Take a member in, or note what it says of itself now."""
        member = self.members.get(endpoint)
        if member is not None and (key or member.peer_id != peer_id):
            member.key = key
        if member is not None and member.peer_id == peer_id and member.complete == complete:
            member.heard = heard
            return
        if member is not None:
            self._count(member, -1)
            member.peer_id, member.complete, member.heard = peer_id, complete, heard
        else:
            member = self.members[endpoint] = Member(endpoint, peer_id, complete, heard, key)
            ordered = self._lists[len(endpoint)]
            self._places[endpoint] = len(ordered)
            ordered.append(endpoint)
        self._count(member, 1)

    def remove(self, endpoint: bytes) -> None:
        """Forget a member, if it is there."""
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
        """Return up to `count` endpoints of both families, drawn at random, none of the client's
        own."""
        v4, v6 = self._lists[6], self._lists[18]
        own = self._clients.get(peer_id, (0, 0))[0]
        total, most = len(v4) + len(v6), count + own
        places = random.sample(range(total), most) if total > most else range(total)
        drawn = [v4[place] if place < len(v4) else v6[place - len(v4)] for place in places]
        if own:
            drawn = [each for each in drawn if self.members[each].peer_id != peer_id]
        return drawn[:count]

    def has_completed(self, peer_id: bytes) -> bool:
        """Return whether a client has everything, by any of its endpoints."""
        return self._clients.get(peer_id, (0, 0))[1] > 0

    def expire(self, heard_before: float) -> None:
        """Forget members not heard from since."""
        for endpoint in [m.endpoint for m in self.members.values() if m.heard < heard_before]:
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
        now: seconds that silence counts on.
        expire_seconds: a member silent for so long is forgotten.
        most_members: over all swarms; beyond it newcomers get peers but are not listed. As many
            swarms without members are kept for their count of downloads, which never falls.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        expire_seconds: float = expire_seconds(0),
        most_members: int = 100_000,
    ) -> None:
        self._now, self._expire_seconds, self._most_members = now, expire_seconds, most_members
        self._swarms: dict[bytes, Swarm] = {}
        self._members = 0
        self._swept = now()

    def get(self, info_hash: bytes) -> Swarm | None:
        """Return a swarm that somebody has announced to."""
        self._sweep()
        return self._swarms.get(info_hash)

    def items(self) -> list[tuple[bytes, Swarm]]:
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
    ) -> Swarm:
        """Note an announce and return the swarm as it is then.

        Args:
            info_hash: whose swarm.
            endpoint: where the client can be reached.
            peer_id: who it is.
            complete: whether it has everything; None where it doesn't say: then it has what it had.
            stopped: whether it leaves. That ends no other client's session at the same endpoint.
            completed: whether it has just got everything.
            key: tells two sessions of one peer id apart, where both give one.
            listed: False of a client that can't be reached: it gets peers and is none.
        """
        now = self._sweep()
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            swarm = Swarm()
            if stopped or not listed or self._members >= self._most_members:
                return swarm
            self._swarms[info_hash] = swarm
        before, old = len(swarm.members), swarm.members.get(endpoint)
        if complete is None:
            complete = swarm.has_completed(peer_id)
        if stopped:
            if old is not None and old.is_of(peer_id, key):
                swarm.remove(endpoint)
        elif listed and (old is not None or self._members < self._most_members):
            if completed and complete and not swarm.has_completed(peer_id):
                swarm.downloaded += 1
            swarm.put(endpoint, peer_id, complete, now, key)
        self._members += len(swarm.members) - before
        return swarm

    def _sweep(self) -> float:
        """Forget who has been silent, every few seconds; return the time."""
        now = self._now()
        if now - self._swept <= _SWEEP_SECONDS:
            return now
        self._swept = now
        for info_hash, swarm in list(self._swarms.items()):
            swarm.expire(now - self._expire_seconds)
            if not swarm.members and (
                not swarm.downloaded or len(self._swarms) > self._most_members
            ):
                del self._swarms[info_hash]
        self._members = sum(len(swarm.members) for swarm in self._swarms.values())
        return now
