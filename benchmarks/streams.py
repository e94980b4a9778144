"""Extracts payload bytes from packets: when each first arrived, in order, at the reading program.

TCP (RFC 9293) and uTP (BEP 29) streams are reassembled: a byte arrives in order with the packet
that closes the last gap before it. BitTorrent's piece messages (BEP 3) and HTTP's response bodies
are then parsed from the streams. A BitTorrent block that arrives from two peers counts once.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.capture import Packet

_HANDSHAKE = b"\x13BitTorrent protocol"
_HANDSHAKE_BYTES = 68
_PIECE = 7
_UTP_DATA, _UTP_SYN = 0, 4
_UTP_HEADER = 20
_TCP, _UDP = 6, 17


class Progress(NamedTuple):
    """Distinct payload bytes that had arrived by each instant; both ascend."""

    t_ns: npt.NDArray[np.int64]
    total: npt.NDArray[np.int64]

    def instant(self, count: int) -> int:
        """Return when `count` bytes had arrived.

        Raises:
            IndexError: fewer bytes arrived.
        """
        return int(self.t_ns[np.searchsorted(self.total, count)])

    @property
    def longest_stall_ns(self) -> int:
        """The longest time between two new bytes."""
        return int(np.diff(self.t_ns).max(initial=0))


@dataclass
class Stream:
    """One direction of a connection, reassembled."""

    source: str
    chunks: list[memoryview] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    _end: int = 0
    _early: dict[int, memoryview] = field(default_factory=dict)

    def add(self, t_ns: int, start: int, payload: memoryview) -> None:
        """Add bytes whose first is byte `start` of the stream."""
        if start > self._end:
            if len(payload) > len(self._early.get(start, b"")):
                self._early[start] = payload
            return
        self._append(t_ns, start, payload)
        while self._early and (first := min(self._early)) <= self._end:
            self._append(t_ns, first, self._early.pop(first))

    def _append(self, t_ns: int, start: int, payload: memoryview) -> None:
        fresh = payload[self._end - start :]
        if len(fresh):
            self._end += len(fresh)
            self.chunks.append(fresh)
            self.ends.append(self._end)
            self.times.append(t_ns)

    def bytes(self) -> bytes:
        """Return all bytes that arrived in order."""
        return b"".join(self.chunks)

    def arrivals(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield (instant, number of the bytes from `start` to `end` that had arrived by then)."""
        first = bisect_right(self.ends, start)
        for index in range(first, len(self.ends)):
            yield self.times[index], min(self.ends[index], end) - start
            if self.ends[index] >= end:
                return


def streams(packets: Iterable[Packet], sources: Iterable[str]) -> list[Stream]:
    """Return the TCP and uTP streams in the packets from `sources`.

    Raises:
        ValueError: the capture began after a connection.
    """
    source_set = set(sources)
    tcp: dict[tuple, tuple[int, Stream]] = {}
    utp: dict[tuple, _Utp] = {}
    found: list[Stream] = []
    for packet in packets:
        if packet.source not in source_set:
            continue
        key = (packet.source, packet.ports)
        if packet.protocol == _TCP:
            first = packet.sequence + 1
            if packet.syn and (key not in tcp or tcp[key][0] != first):
                found.append(Stream(packet.source))
                tcp[key] = first, found[-1]
            if key not in tcp:
                raise ValueError(f"{key}: the capture began after the connection")
            first, stream = tcp[key]
            if len(packet.payload):
                start = (packet.sequence - first) & 0xFFFFFFFF
                if start < 1 << 31 or (stream.ends and stream.ends[-1] > 1 << 30):
                    stream.add(packet.t_ns, start, packet.payload)
        elif packet.protocol == _UDP and len(packet.payload) >= _UTP_HEADER:
            connection = struct.unpack_from(">H", packet.payload, 2)[0]
            utp.setdefault((*key, connection), _Utp(packet.source)).add(packet)
    return found + [each.stream() for each in utp.values()]


class _Utp:
    """The data packets of one uTP connection (BEP 29), which have numbers and any size."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: dict[int, tuple[int, memoryview]] = {}
        self._number: int | None = None

    def add(self, packet: Packet) -> None:
        kind, version = packet.payload[0] >> 4, packet.payload[0] & 15
        if kind != _UTP_DATA or version != 1:
            return
        extension, at = packet.payload[1], _UTP_HEADER
        while extension:
            extension, length = packet.payload[at], packet.payload[at + 1]
            at += 2 + length
        number = struct.unpack_from(">H", packet.payload, 16)[0]
        if self._number is None:
            self._number = number
        # Sequence numbers have 16 bits: take the one nearest to the previous packet's.
        self._number += (number - self._number + 0x8000 & 0xFFFF) - 0x8000
        self._found.setdefault(self._number, (packet.t_ns, packet.payload[at:]))

    def stream(self) -> Stream:
        stream, latest_ns, expected = Stream(self._source), 0, min(self._found, default=0)
        for number in sorted(self._found):
            if number != expected:
                break  # bytes after a gap never arrived in order
            t_ns, payload = self._found[number]
            latest_ns, expected = max(latest_ns, t_ns), number + 1
            stream.add(latest_ns, stream.ends[-1] if stream.ends else 0, payload)
        return stream


def bittorrent(found: Iterable[Stream]) -> Progress:
    """Return the distinct payload of the piece messages in unencrypted streams."""
    events: list[tuple[int, tuple[int, int], int]] = []
    for stream in found:
        data = stream.bytes()
        if not data.startswith(_HANDSHAKE):
            continue
        at = _HANDSHAKE_BYTES
        while at + 4 <= len(data):
            (length,) = struct.unpack_from(">I", data, at)
            if length > 9 and at + 13 <= len(data) and data[at + 4] == _PIECE:
                block = struct.unpack_from(">II", data, at + 5)
                end = min(at + 4 + length, len(data))
                events += [(t, block, got) for t, got in stream.arrivals(at + 13, end)]
            at += 4 + length
    events.sort(key=lambda event: event[0])
    seen: dict[tuple[int, int], int] = {}
    times, totals, total = [], [], 0
    for t_ns, block, got in events:
        fresh = got - seen.get(block, 0)
        if fresh > 0:
            seen[block], total = got, total + fresh
            times.append(t_ns)
            totals.append(total)
    return Progress(np.array(times, np.int64), np.array(totals, np.int64))


def http(found: Iterable[Stream]) -> Progress:
    """Return the progress of the one response with a `Content-Length` in the streams.

    Raises:
        ValueError: there is no such response, or more than one.
    """
    bodies = []
    for stream in found:
        data = stream.bytes()
        head, blank, _ = data.partition(b"\r\n\r\n")
        if blank and head.startswith(b"HTTP/1.1 200"):
            start = len(head) + 4
            (length,) = (
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            )
            bodies.append(list(stream.arrivals(start, start + length)))
    if len(bodies) != 1:
        raise ValueError(f"found {len(bodies)} responses in the capture, expected 1")
    times, totals = zip(*bodies[0], strict=True)
    return Progress(np.array(times, np.int64), np.array(totals, np.int64))
