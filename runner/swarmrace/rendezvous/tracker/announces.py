"""The BitTorrent HTTP tracker: announce and scrape.

BEP 3 (announce), BEP 7 (IPv6: the source address counts; the parameters `ip`, `ipv4` and `ipv6`
are ignored, as it recommends), BEP 21 (`paused`), BEP 23 (compact by default; `compact=0` gives
dictionaries), BEP 48 (scrape). BEP 52's info-hashes arrive truncated to 20 bytes and are treated
like any other.

Only `info_hash`, `peer_id` and `port` are required. Every other parameter is optional, or the
client may not know it (`left=-1` before a magnet link has its metadata). So a meaningless value
counts as absent, and an unknown `event` as a regular announce. A request that can't be answered
gets a bencoded `failure reason` and status 200, because clients read no body with another status.
"""

from __future__ import annotations

import socket
from urllib.parse import unquote_to_bytes

from swarmrace.rendezvous.tracker.bencode import bencode
from swarmrace.rendezvous.tracker.swarms import AnnouncedSwarm, Swarms

_NUMWANT = 50
_MAX_NUMWANT = 200
_MAPPED = bytes(10) + b"\xff\xff"
_MAX_QUERY_BYTES = 65_536


class MalformedError(ValueError):
    """A tracker can't answer this request; the message is the failure reason."""


class Tracker:
    """Announce and scrape over a set of swarms.

    Args:
        swarms: the swarms and their members.
        interval_seconds: how often clients should announce.
        min_interval_seconds: how often they may announce at most.
    """

    def __init__(
        self, swarms: Swarms, *, interval_seconds: int = 30, min_interval_seconds: int = 1
    ) -> None:
        self.swarms = swarms
        self._head = b"8:intervali%de12:min intervali%de" % (interval_seconds, min_interval_seconds)

    def announce(self, query: bytes, address: str) -> bytes:
        """Answer an announce.

        Args:
            query: the raw query string.
            address: the IP address it came from.
        """
        try:
            return self._announce(query, address)
        except MalformedError as error:
            return failure(str(error))

    def scrape(self, query: bytes) -> bytes:
        """Answer a scrape: of the given hashes, or of all if none is given.

        An unknown hash has zeros: a client that waits for it would take its absence for no answer.
        """
        try:
            hashes = [value for key, value in _pairs(query) if key == b"info_hash"]
            for info_hash in hashes:
                _check_20("info_hash", info_hash)
        except MalformedError as error:
            return failure(str(error))
        if hashes:
            found = [(each, self.swarms.get(each) or AnnouncedSwarm()) for each in set(hashes)]
        else:
            found = self.swarms.items()
        files = {
            info_hash: {
                "complete": swarm.complete,
                "downloaded": swarm.downloaded,
                "incomplete": swarm.incomplete,
            }
            for info_hash, swarm in found
        }
        return bencode({"files": files})

    def _announce(self, query: bytes, address: str) -> bytes:
        given = dict(reversed(_pairs(query)))  # the first of two equal keys counts
        info_hash, peer_id = given.get(b"info_hash"), given.get(b"peer_id")
        _check_20("info_hash", info_hash)
        _check_20("peer_id", peer_id)
        assert info_hash is not None
        assert peer_id is not None
        port = _number(given.get(b"port"))
        if port is None or not 0 <= port <= 65_535:
            found = "none" if b"port" not in given else _text(given[b"port"])
            raise MalformedError(f"port: expected 0 to 65535, found {found}")
        left, numwant = _number(given.get(b"left")), _number(given.get(b"numwant"))
        event = given.get(b"event", b"")
        numwant = _NUMWANT if numwant is None or numwant < 0 else min(numwant, _MAX_NUMWANT)
        endpoint = compact_endpoint(address, port)
        stopped, completed = event == b"stopped", event == b"completed"
        complete = None if left is None or left < 0 else left == 0
        swarm = self.swarms.announce(
            info_hash,
            endpoint,
            peer_id,
            key=given.get(b"key", b""),
            complete=True if complete is None and completed else complete,
            stopped=stopped,
            completed=completed,
            listed=port > 0,
        )
        if stopped:
            numwant = 0
        counts = b"8:completei%de10:incompletei%de" % (swarm.complete, swarm.incomplete)
        if given.get(b"compact") == b"0":
            bare = given.get(b"no_peer_id", b"0") != b"0"
            peers = _dictionaries(swarm, swarm.sample(numwant, peer_id), bare)
            return b"d%b%b5:peers%be" % (counts, self._head, peers)
        drawn = swarm.sample(numwant, peer_id)
        v4 = b"".join(each for each in drawn if len(each) == 6)
        v6 = b"".join(each for each in drawn if len(each) == 18)
        tail = b"6:peers6%d:%b" % (len(v6), v6) if v6 or len(endpoint) == 18 else b""
        return b"d%b%b5:peers%d:%b%be" % (counts, self._head, len(v4), v4, tail)


def failure(reason: str) -> bytes:
    """Return a tracker's refusal (BEP 3)."""
    return bencode({"failure reason": reason})


def compact_endpoint(address: str, port: int) -> bytes:
    """Return address and port in the compact form of BEP 23 (IPv4) or BEP 7 (IPv6).

    Raises:
        MalformedError: not an IP address (a unix socket, say).
    """
    packed = None
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            packed = socket.inet_pton(family, address.partition("%")[0])
            break
        except (OSError, ValueError):
            continue
    if packed is None:
        raise MalformedError(f"expected an announce over IP, found the address {address!r}")
    return packed.removeprefix(_MAPPED) + port.to_bytes(2, "big")


def _dictionaries(swarm: AnnouncedSwarm, drawn: list[bytes], no_peer_id: bool) -> bytes:
    peers = []
    for other in drawn:
        family = socket.AF_INET if len(other) == 6 else socket.AF_INET6
        entry: dict[str, str | int | bytes] = {
            "ip": socket.inet_ntop(family, other[:-2]),
            "port": int.from_bytes(other[-2:], "big"),
        }
        if not no_peer_id:
            entry["peer id"] = swarm.members[other].peer_id
        peers.append(entry)
    return bencode(peers)


def _pairs(query: bytes) -> list[tuple[bytes, bytes]]:
    if len(query) > _MAX_QUERY_BYTES:
        raise MalformedError(f"query: expected at most {_MAX_QUERY_BYTES} bytes")
    pairs = []
    for part in query.split(b"&"):
        key, _, value = part.partition(b"=")
        pairs.append((key, unquote_to_bytes(value) if b"%" in value else value))
    return pairs


def _check_20(name: str, value: bytes | None) -> None:
    if value is None or len(value) != 20:
        found = "none" if value is None else f"{len(value)}"
        raise MalformedError(f"{name}: expected 20 bytes, found {found}")


def _number(text: bytes | None) -> int | None:
    """Return a decimal number, or None if `text` isn't one."""
    sign, digits = (-1, text[1:]) if text and text[:1] == b"-" else (1, text or b"")
    return sign * int(digits) if digits.isdigit() and len(digits) <= 20 else None


def _text(value: bytes) -> str:
    return repr(value[:40].decode("latin-1"))
