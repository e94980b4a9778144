"""What went over a peer's own interface, read from the kernel.

The bytes are those of `/proc/net/dev` in the calling thread's namespace: link-layer frames. With
segmentation offload (gso, tso, gro) the kernel passes on up to 64 KiB at once and counts it as one
packet with one header, while a wire would carry a header for every 1,448 bytes: 4.6 % that would be
hidden for TCP but not for a protocol over UDP. The kernel's protocol counters have the true number
of segments (`OutSegs` of TCP, `InNoECTPkts` and its siblings of IP count each segment of an
offloaded packet). So the headers that the interface didn't count are added, and their bytes are
recorded together with the packets and the offload state.

TCP's counter of sent segments includes those that the peer's own limiter then drops. So if the
interface has a queueing discipline that counts, as every limiter does, the sent bytes are those
that have left it (`qdiscs`).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import psutil

from swarmrace.definitions import HEADER_BYTES, HEADER_BYTES_V6
from swarmrace.network import link_bytes, offload
from swarmrace.network.qdiscs import Passed, root_qdisc
from swarmrace.recording.records import Wire

_USUAL_MTU = 1500
_LINK_HEADER = 14
"""Ethernet's header, which an MTU doesn't include."""


@dataclass(frozen=True, slots=True)
class CounterReading:
    """An interface's counters at one instant, since it came up."""

    received_bytes: int
    received_packets: int
    sent_bytes: int
    sent_packets: int


@dataclass(frozen=True, slots=True)
class Segments:
    """Packets of the whole namespace as a wire would carry them, since its creation."""

    received: int
    sent: int


def read(interface: str) -> CounterReading | None:
    """Return an interface's counters, or None if it doesn't exist here.

    All four come from one read of one file, so that they are equally old.
    """
    fields = link_bytes.split(Path(link_bytes.DEVICES).read_bytes())
    for at in range(0, len(fields), link_bytes.FIELDS):
        name, *figures = fields[at : at + link_bytes.FIELDS]
        if name == f"{interface}:".encode():
            return CounterReading(*(int(figures[each]) for each in (0, 1, 8, 9)))
    return None


def read_segments() -> Segments:
    """Return the true number of IP packets, counting each segment of an offloaded one.

    Loopback's are included; ARP's are not.
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
    """Return the interface with `address`, or None if none has it or it is the loopback interface.

    Without an address: the only interface other than loopback that has any address, or None if
    there are several.
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


class WireMeter:
    """Bytes over the peer's own interface between `start` and `stop`.

    Call both in the peer's namespace, where the interface is.

    Args:
        control_bytes: returns the bytes, with headers, that the runner itself has sent to and
            received from the rendezvous so far; they are subtracted.
        address: the peer's own address. If it is a loopback address, or no interface has it,
            nothing is measured. For None see `own_interface`.
    """

    def __init__(
        self, control_bytes: Callable[[], tuple[int, int]], address: str | None = None
    ) -> None:
        self.interface = own_interface(address)
        self._header_bytes = header_bytes(address)
        self._mtu = _mtu(self.interface) if self.interface is not None else _USUAL_MTU
        if self.interface is not None:
            offload.load()
        self._control_bytes = control_bytes
        self._began: _Instant | None = None

    def start(self) -> None:
        """Begin to count, or begin again."""
        self._began = self._now()

    def stop(self, dropped_packets: int | None = None) -> Wire | None:
        """Return what went over the interface since `start`, or None if it can't be measured.

        Args:
            dropped_packets: packets dropped on the way to the interface, if known.
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
            offload=offload.read(self.interface),
        )

    def _now(self) -> _Instant | None:
        own = read(self.interface) if self.interface is not None else None
        if own is None:
            return None
        none = CounterReading(0, 0, 0, 0)
        assert self.interface is not None
        passed = root_qdisc(self.interface)
        return _Instant(own, read("lo") or none, read_segments(), self._control_bytes(), passed)


@dataclass(frozen=True, slots=True)
class _Instant:
    own: CounterReading
    loopback: CounterReading
    segments: Segments
    control: tuple[int, int]
    passed: Passed | None = None
    """What has left the interface's queueing discipline, if it has one that counts."""


def header_bytes(address: str | None) -> int:
    """Return the header bytes of a segment for the address's family; without address, IPv4's."""
    parsed = ipaddress.ip_address(address) if address else None
    six = isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None
    return HEADER_BYTES_V6 if six else HEADER_BYTES


def _hidden(
    segments: Segments, own: CounterReading, loopback: CounterReading, each: int, mtu: int
) -> tuple[int, int]:
    """Return the header bytes, received and sent, that offload hid from the interface's count.

    With loopback's MTU of 64 KiB nothing is segmented, so its packets are its segments. Sent
    segments are counted before they may be dropped (by a firewall, or because a neighbour doesn't
    answer). But all segments of an offloaded packet except the last are full, so at most as many
    were hidden as full frames were sent.
    """
    received = segments.received - loopback.received_packets - own.received_packets
    sent = segments.sent - loopback.sent_packets - own.sent_packets
    sent = min(sent, own.sent_bytes // max(1, mtu + _LINK_HEADER - each))
    return max(0, received) * each, max(0, sent) * each


def _mtu(interface: str) -> int:
    stats = psutil.net_if_stats().get(interface)
    return stats.mtu if stats is not None else _USUAL_MTU


_Counts = TypeVar("_Counts", CounterReading, Segments)


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
