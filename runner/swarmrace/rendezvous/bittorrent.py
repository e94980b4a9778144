"""The BitTorrent HTTP tracker: announce and scrape.

BEP 3 (announce), BEP 7 (IPv6: the source address counts, `ip`, `ipv4` and `ipv6` parameters are
ignored as it recommends), BEP 23 (compact by default, `compact=0` gives dictionaries), BEP 48
(scrape). BEP 52's info-hashes come truncated to 20 bytes and are hashes like any other. A request
that can't be answered gets a bencoded `failure reason` and status 200, as clients read no other.
"""

from __future__ import annotations

import socket
from urllib.parse import unquote_to_bytes

from swarmrace.rendezvous.bencode import bencode
from swarmrace.rendezvous.swarms import Swarm, Swarms

_EVENTS = (b"", b"empty", b"started", b"completed", b"stopped", b"paused")  # paused: BEP 21
_NUMWANT = 50
_MOST_NUMWANT = 200
_MAPPED = bytes(10) + b"\xff\xff"
_MOST_QUERY_BYTES = 65_536


class MalformedError(ValueError):
    """The request is not one that a tracker can answer; the text is the failure reason."""


class Tracker:
    """Announce and scrape over a set of swarms.

    Args:
        swarms: where members are kept.
        interval_seconds: how often clients should announce.
        min_interval_seconds: how often they may.
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
        """Answer a scrape: of the hashes asked for, or of all when none is. Unknown ones are left
        out."""
        try:
            hashes = [value for key, value in _pairs(query) if key == b"info_hash"]
            for info_hash in hashes:
                _check_20("info_hash", info_hash)
        except MalformedError as error:
            return failure(str(error))
        if hashes:
            found = [(h, swarm) for h in set(hashes) if (swarm := self.swarms.get(h)) is not None]
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
        given = dict(reversed(_pairs(query)))  # of a key given twice the first counts
        info_hash, peer_id = given.get(b"info_hash"), given.get(b"peer_id")
        _check_20("info_hash", info_hash)
        _check_20("peer_id", peer_id)
        assert info_hash is not None
        assert peer_id is not None
        port = _number(given, b"port")
        if not 1 <= port <= 65_535:
            raise MalformedError(f"port: expected 1 to 65535, found {port}")
        for key in (b"uploaded", b"downloaded"):
            _number(given, key, 0)
        left = _number(given, b"left", 1)
        event = given.get(b"event", b"")
        if event not in _EVENTS:
            raise MalformedError(
                f"event: expected started, completed or stopped, found {_text(event)}"
            )
        # BEP 3 asks for no number; -1 is what some clients send for that.
        numwant = _number(given, b"numwant", -1, least=-1)
        numwant = _NUMWANT if numwant < 0 else min(numwant, _MOST_NUMWANT)
        endpoint = compact_endpoint(address, port)
        stopped = event == b"stopped"
        swarm = self.swarms.announce(
            info_hash,
            endpoint,
            peer_id,
            complete=left == 0,
            stopped=stopped,
            completed=event == b"completed",
        )
        if stopped:
            numwant = 0
        counts = b"8:completei%de10:incompletei%de" % (swarm.complete, swarm.incomplete)
        if given.get(b"compact") == b"0":
            peers = _dictionaries(swarm, swarm.sample(numwant, peer_id), b"no_peer_id" in given)
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


def _dictionaries(swarm: Swarm, drawn: list[bytes], no_peer_id: bool) -> bytes:
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
    if len(query) > _MOST_QUERY_BYTES:
        raise MalformedError(f"query: expected at most {_MOST_QUERY_BYTES} bytes")
    pairs = []
    for part in query.split(b"&"):
        key, _, value = part.partition(b"=")
        pairs.append((key, unquote_to_bytes(value) if b"%" in value else value))
    return pairs


def _check_20(name: str, value: bytes | None) -> None:
    if value is None or len(value) != 20:
        found = "none" if value is None else f"{len(value)}"
        raise MalformedError(f"{name}: expected 20 bytes, found {found}")


def _number(
    given: dict[bytes, bytes], key: bytes, default: int | None = None, least: int = 0
) -> int:
    text = given.get(key)
    if text is None or (text == b"" and default is not None):
        if default is None:
            raise MalformedError(f"{key.decode()}: expected a number, found none")
        return default
    sign, digits = (-1, text[1:]) if text[:1] == b"-" else (1, text)
    value = sign * int(digits) if digits.isdigit() and len(digits) <= 20 else None
    if value is None or value < least:
        raise MalformedError(f"{key.decode()}: expected a number, found {_text(text)}")
    return value


def _text(value: bytes) -> str:
    return repr(value[:40].decode("latin-1"))
