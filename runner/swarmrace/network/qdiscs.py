"""What the queueing disciplines of a network namespace have passed and dropped, by rtnetlink.

A root qdisc counts what leaves it towards the device, after its own drops. It counts an offloaded
packet as its segments, each with its headers (`qdisc_pkt_len_init` in net/core/dev.c): the bytes
that a wire would carry. TCP's own segment counter, by contrast, includes what the limiter then
drops. See tc(8), "tc -s qdisc". Not by pyroute2, which is too slow for a sampler (`rtnetlink`).
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

_RTM_NEWQDISC, _RTM_GETQDISC = 36, 38
_NLM_F_DUMP_REQUEST = 0x1 | 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_ROOT = 0xFFFFFFFF
"""TC_H_ROOT: the parent of a root qdisc."""
_TCA_KIND, _TCA_STATS2 = 1, 7
_STATS_BASIC, _STATS_QUEUE, _STATS_PACKETS_64 = 1, 3, 8
_HEADER = struct.Struct("=IHHII")
_TCMSG = struct.Struct("=BBHiIII")
_BASIC = struct.Struct("=QI")
_QUEUE = struct.Struct("=IIIII")
_UNCOUNTED = ("noqueue", "")
"""Kinds that don't count."""


class Passed(NamedTuple):
    """What a root qdisc has counted since its creation."""

    bytes: int
    packets: int
    dropped_packets: int


def root_qdiscs() -> dict[int, Passed]:
    """Return the counts of the root qdiscs that count, by interface number.

    In the calling thread's namespace. Empty if rtnetlink refuses.
    """
    found: dict[int, Passed] = {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as link:
            link.settimeout(1.0)
            body = _TCMSG.pack(0, 0, 0, 0, 0, 0, 0)
            size = _HEADER.size + len(body)
            link.send(_HEADER.pack(size, _RTM_GETQDISC, _NLM_F_DUMP_REQUEST, 0, 0) + body)
            while _read_part(link.recv(262_144), found):
                continue
    except OSError:
        return {}
    return found


def root_qdisc(interface: str) -> Passed | None:
    """Return the counts of an interface's root qdisc, or None if it has none that counts."""
    try:
        number = socket.if_nametoindex(interface)
    except OSError:
        return None
    return root_qdiscs().get(number)


def _read_part(data: bytes, found: dict[int, Passed]) -> bool:
    """Read one part of an answer; return whether another follows."""
    at = 0
    while at < len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind in (_NLMSG_ERROR, _NLMSG_DONE):
            return False
        if kind == _RTM_NEWQDISC:
            _, _, _, interface, _, parent, _ = _TCMSG.unpack_from(data, at + _HEADER.size)
            attributes = _attributes(data, at + _HEADER.size + _TCMSG.size, at + length)
            name = attributes.get(_TCA_KIND, b"").rstrip(b"\0").decode()
            if parent == _ROOT and name not in _UNCOUNTED and _TCA_STATS2 in attributes:
                found[interface] = _passed(attributes[_TCA_STATS2])
        at += (length + 3) & ~3
    return True


def _passed(stats: bytes) -> Passed:
    nested = _attributes(stats, 0, len(stats))
    passed, packets = _BASIC.unpack_from(nested[_STATS_BASIC])
    if _STATS_PACKETS_64 in nested:
        (packets,) = struct.unpack_from("=Q", nested[_STATS_PACKETS_64])
    dropped = _QUEUE.unpack_from(nested[_STATS_QUEUE])[2] if _STATS_QUEUE in nested else 0
    return Passed(passed, packets, dropped)


def _attributes(data: bytes, at: int, end: int) -> dict[int, bytes]:
    found = {}
    while at + 4 <= end:
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found
