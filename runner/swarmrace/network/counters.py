"""What went over a peer's own interface, read from the kernel.

The bytes are those of `/proc/net/dev`, of the namespace that the calling thread is in: link-layer
frames. With segmentation offload (gso, tso, gro) the kernel hands on up to 64 KiB at once and
counts it as one packet with one header, while a wire would carry a header for every 1,448 bytes:
4.6 % that TCP would hide and a protocol on UDP would not. The kernel's protocol counters know the
true number of segments (`OutSegs` of TCP, `InNoECTPkts` and its kin of IP count each segment of an
offloaded packet), so the headers that the interface did not see are added, and how many bytes that
were is recorded beside the packets and the offload state.

Of what is sent, TCP's counter also holds the segments that the peer's own limiter then drops. So
where the interface has a queueing discipline that counts, as every limiter does, what is sent is
what has left that (`qdiscs`).
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import psutil

from swarmrace.definitions import HEADER_BYTES, HEADER_BYTES_V6
from swarmrace.network.qdiscs import Passed, root_qdisc
from swarmrace.recording.records import Wire

_DEVICES = Path("/proc/thread-self/net/dev")
_USUAL_MTU = 1500
_LINK_HEADER = 14
"""Ethernet's, which an MTU leaves out."""
_SIOCETHTOOL = 0x8946
# <linux/ethtool.h>: ETHTOOL_GGRO, _GGSO, _GTSO; lro is bit 15 of ETHTOOL_GFLAGS
_OFFLOADS = {"gro": (0x2B, 1), "gso": (0x23, 1), "tso": (0x1E, 1), "lro": (0x25, 1 << 15)}


@dataclass(frozen=True, slots=True)
class Reading:
    """An interface's counters at one instant, since it came up."""

    received_bytes: int
    received_packets: int
    sent_bytes: int
    sent_packets: int


@dataclass(frozen=True, slots=True)
class Segments:
    """Packets of the whole namespace as a wire would carry them, since it was made."""

    received: int
    sent: int


def read(interface: str) -> Reading | None:
    """Return an interface's counters, or None if there is no such here.

    All four come from one read of one file, so that none is older than the others.
    """
    for line in _DEVICES.read_text().splitlines():
        name, colon, figures = line.partition(":")
        if colon and name.strip() == interface:
            values = figures.split()
            return Reading(int(values[0]), int(values[1]), int(values[8]), int(values[9]))
    return None


def read_segments() -> Segments:
    """Return the true number of IP packets, segments of offloaded ones counted each.

    Loopback's are in it; ARP's are not.
    """
    ipv4 = _tables(Path("/proc/thread-self/net/snmp"))
    extended = _tables(Path("/proc/thread-self/net/netstat")).get("IpExt", {})
    ipv6 = _pairs(Path("/proc/thread-self/net/snmp6"))
    marks = ("InNoECTPkts", "InECT1Pkts", "InECT0Pkts", "InCEPkts")
    return Segments(
        received=sum(extended.get(mark, 0) + ipv6.get(f"Ip6{mark}", 0) for mark in marks),
        sent=ipv4.get("Tcp", {}).get("OutSegs", 0)
        + ipv4.get("Udp", {}).get("OutDatagrams", 0)
        + ipv4.get("Icmp", {}).get("OutMsgs", 0)
        + ipv6.get("Udp6OutDatagrams", 0)
        + ipv6.get("Icmp6OutMsgs", 0),
    )


def own_interface(address: str | None = None) -> str | None:
    """Return the interface that holds `address`, or None on loopback or when none does.

    Without an address: the only interface but loopback that has any, or None when there are more.
    """
    found = set()
    for name, entries in psutil.net_if_addrs().items():
        if _is_loopback(name):
            continue
        for entry in entries:
            held = entry.address.partition("%")[0]
            is_ip = entry.family in (socket.AF_INET, socket.AF_INET6)
            if is_ip and address in (None, held):
                found.add(name)
    return found.pop() if len(found) == 1 else None


def offload(interface: str) -> dict[str, bool]:
    """Return which of gro, gso, tso and lro are on; what the driver doesn't tell is left out."""
    state = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name, (command, bit) in _OFFLOADS.items():
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
            request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(control, _SIOCETHTOOL, request)
            except OSError:
                continue
            state[name] = bool(struct.unpack_from("=II", value)[1] & bit)
    return dict(sorted(state.items()))


class WireMeter:
    """Bytes over the peer's own interface between `start` and `stop`.

    Both must be called where the interface is: in the peer's namespace.

    Args:
        control_bytes: returns what the runner itself has sent to and received from the rendezvous
            so far, in bytes with their headers; it is taken off the figures.
        address: the peer's own address; where it is a loopback address, or no interface holds it,
            nothing is measured. When absent, see `own_interface`.
    """

    def __init__(
        self, control_bytes: Callable[[], tuple[int, int]], address: str | None = None
    ) -> None:
        self.interface = own_interface(address)
        self._header_bytes = header_bytes(address)
        self._mtu = _mtu(self.interface) if self.interface is not None else _USUAL_MTU
        self._control_bytes = control_bytes
        self._began: _Instant | None = None

    def start(self) -> None:
        """Begin to count, or begin again."""
        self._began = self._now()

    def stop(self, dropped_packets: int | None = None) -> Wire | None:
        """Return what went over the interface since `start`; None when it can't be measured.

        Args:
            dropped_packets: what was dropped on the way to the interface, where that is known.
        """
        first, last = self._began, self._now()
        if first is None or last is None or self.interface is None:
            return None
        control_sent = last.control[0] - first.control[0]
        control_received = last.control[1] - first.control[1]
        own = _minus(last.own, first.own)
        hidden_received, hidden_sent = _hidden(
            _minus(last.segments, first.segments),
            own,
            _minus(last.loopback, first.loopback),
            self._header_bytes,
            self._mtu,
        )
        if first.passed is not None and last.passed is not None:
            hidden_sent = max(0, last.passed.bytes - first.passed.bytes - own.sent_bytes)
        return Wire(
            sent_bytes=max(0, own.sent_bytes + hidden_sent - control_sent),
            received_bytes=max(0, own.received_bytes + hidden_received - control_received),
            sent_packets=own.sent_packets,
            received_packets=own.received_packets,
            offload_sent_bytes=hidden_sent,
            offload_received_bytes=hidden_received,
            header_bytes=self._header_bytes,
            control_sent_bytes=control_sent,
            control_received_bytes=control_received,
            dropped_packets=dropped_packets,
            interface=self.interface,
            offload=offload(self.interface),
        )

    def _now(self) -> _Instant | None:
        own = read(self.interface) if self.interface is not None else None
        if own is None:
            return None
        none = Reading(0, 0, 0, 0)
        assert self.interface is not None
        passed = root_qdisc(self.interface)
        return _Instant(own, read("lo") or none, read_segments(), self._control_bytes(), passed)


@dataclass(frozen=True, slots=True)
class _Instant:
    own: Reading
    loopback: Reading
    segments: Segments
    control: tuple[int, int]
    passed: Passed | None = None
    """What has left the interface's queueing discipline, where it has one that counts."""


def header_bytes(address: str | None) -> int:
    """Return what a segment's headers come to over the address's family; IPv4's without one."""
    parsed = ipaddress.ip_address(address) if address else None
    six = isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None
    return HEADER_BYTES_V6 if six else HEADER_BYTES


def _hidden(
    segments: Segments, own: Reading, loopback: Reading, each: int, mtu: int
) -> tuple[int, int]:
    """Return the header bytes, received and sent, that offload kept off the interface's count.

    Loopback's MTU of 64 KiB leaves nothing to segment, so its packets are its segments. What was
    sent is counted before anything may drop it (a firewall, a neighbour that doesn't answer); but
    of the segments of an offloaded packet all are full except the last, so no more were hidden than
    full frames went out.
    """
    received = segments.received - loopback.received_packets - own.received_packets
    sent = segments.sent - loopback.sent_packets - own.sent_packets
    sent = min(sent, own.sent_bytes // max(1, mtu + _LINK_HEADER - each))
    return max(0, received) * each, max(0, sent) * each


def _mtu(interface: str) -> int:
    stats = psutil.net_if_stats().get(interface)
    return stats.mtu if stats is not None else _USUAL_MTU


_Counts = TypeVar("_Counts", Reading, Segments)


def _minus(last: _Counts, first: _Counts) -> _Counts:
    names = [field.name for field in fields(last)]
    return type(last)(**{name: getattr(last, name) - getattr(first, name) for name in names})


def _tables(path: Path) -> dict[str, dict[str, int]]:
    """Return `/proc/net/snmp` and its like: pairs of lines, names and figures."""
    found: dict[str, dict[str, int]] = {}
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return found
    for names, figures in zip(lines[::2], lines[1::2], strict=False):
        table, _, rest = names.partition(":")
        values = map(int, figures.partition(":")[2].split())
        found[table] = dict(zip(rest.split(), values, strict=False))
    return found


def _pairs(path: Path) -> dict[str, int]:
    try:
        rows = (line.split() for line in path.read_text().splitlines())
        return {name: int(value) for name, value in rows}
    except OSError:
        return {}


def _is_loopback(interface: str) -> bool:
    stats = psutil.net_if_stats().get(interface)
    return interface == "lo" or (stats is not None and "loopback" in stats.flags.split(","))
