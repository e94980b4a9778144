"""Announces for tests, as a client would send them."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import quote_from_bytes

import libtorrent as lt

from swarmrace.rendezvous.tracker.announces import Tracker

HASH = bytes(range(236, 256))
OTHER_HASH = b"&=%+ \x00\xff#?/" + b"x" * 10


class Time:
    """A clock in seconds that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def query(**changes: Any) -> bytes:
    """Return an announce's query; a value of None leaves the key out."""
    values: dict[str, Any] = {
        "info_hash": HASH,
        "peer_id": b"-XX0000-000000000000",
        "port": 6881,
        "uploaded": 0,
        "downloaded": 0,
        "left": 1000,
        "compact": 1,
    }
    parts = []
    for key, value in (values | changes).items():
        if value is not None:
            text = value if isinstance(value, bytes) else str(value).encode()
            parts.append(f"{key}={quote_from_bytes(text, safe='')}")
    return "&".join(parts).encode()


def peer_id(number: int) -> bytes:
    return b"-XX0000-%012d" % number


def ask(tracker: Tracker, address: str = "10.0.0.1", **changes: Any) -> dict[bytes, Any]:
    return lt.bdecode(tracker.announce(query(**changes), address))


def fill(tracker: Tracker, count: int, left: int = 1000) -> None:
    for number in range(count):
        ask(tracker, f"10.1.{number // 250}.{number % 250}", peer_id=peer_id(number), left=left)


def endpoints(compact: bytes) -> set[tuple[str, int]]:
    size = 6
    assert len(compact) % size == 0
    parts = [compact[at : at + size] for at in range(0, len(compact), size)]
    return {
        (str(ipaddress.ip_address(part[:-2])), int.from_bytes(part[-2:], "big")) for part in parts
    }
