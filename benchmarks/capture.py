"""Packet captures of a race's peers by tcpdump, and a reader for them."""

from __future__ import annotations

import mmap
import os
import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from swarmrace.network.namespaces import INTERFACE, call_inside

BUFFER_KIB = 262_144
"""Large, in case tcpdump is scheduled late on a busy machine."""
_NANOSECOND_MAGIC = 0xA1B23C4D
_ETHERNET, _IPV4, _TCP, _UDP = 14, 0x0800, 6, 17
_READY_SECONDS = 10.0
DRAIN_SECONDS = 1.5
"""After this time tcpdump has read the last packet: libpcap hands packets on within a second."""


def refusals() -> list[str]:
    """Return the reasons why this machine can't capture packets, one line each."""
    reasons = []
    if shutil.which("tcpdump") is None:
        reasons.append("tcpdump: not found; install it (apt-get install tcpdump)")
    if os.geteuid() != 0:
        reasons.append("captures: need root")
    return reasons


class Packet(NamedTuple):
    """One IPv4 packet as the interface received it: with offload, up to 64 KiB of TCP."""

    t_ns: int
    """By the monotonic clock."""
    source: str
    ports: tuple[int, int]
    protocol: int
    """6 for TCP, 17 for UDP."""
    sequence: int
    """TCP's; 0 for UDP."""
    syn: bool
    payload: memoryview
    frame_bytes: int
    header_bytes: int
    """The frame without its payload."""


class Capture:
    """The packets that one peer's interface receives, written to a file by tcpdump.

    Args:
        pid: a process in the peer's network namespace.
        file: the file for the packets.

    Raises:
        RuntimeError: tcpdump did not start.
    """

    def __init__(self, pid: int, file: Path) -> None:
        self.file, self._errors = file, file.with_suffix(".stderr")
        inside = f"/proc/{pid}/ns/net"
        found = call_inside(inside, psutil.net_if_addrs)[INTERFACE]
        (address,) = (each.address for each in found if each.family == socket.AF_INET)
        command = ["tcpdump", "-i", INTERFACE, "-j", "host", "-n", "-Z", "root"]
        command += ["--time-stamp-precision=nano", "-s", "0", "-B", str(BUFFER_KIB)]
        command += ["-w", str(file), f"ip dst host {address}"]
        with self._errors.open("wb") as errors:
            self._process = call_inside(inside, _start, command, errors)
        deadline = time.monotonic() + _READY_SECONDS
        while "listening on" not in self._output:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"tcpdump did not start: {self._output.strip()}")
            time.sleep(0.001)
        self.began_ns = time.monotonic_ns()
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self.void = ""
        """Why the capture can't be used; known after `end`."""
        self.cpu_seconds = 0.0
        """tcpdump's CPU time; known after `end`."""

    @property
    def _output(self) -> str:
        return self._errors.read_text()

    def end(self) -> None:
        """End tcpdump and check that it missed no packet. A second call does nothing.

        Call it while the interface exists, `DRAIN_SECONDS` after the last packet.
        """
        if self._process.returncode is not None:
            return
        drift_ns = time.time_ns() - time.monotonic_ns() - self._offset_ns
        with suppress(psutil.Error):
            times = psutil.Process(self._process.pid).cpu_times()
            self.cpu_seconds = times.user + times.system
        self._process.terminate()
        self._process.wait(30)
        self.void = void_reason(self._output, drift_ns)

    def packets(self) -> Iterator[Packet]:
        """Yield the packets, in the order of the capture."""
        return packets(self.file, self._offset_ns)


def void_reason(output: str, drift_ns: int) -> str:
    """Return why a capture can't be used, or an empty string.

    Args:
        output: tcpdump's output.
        drift_ns: how far the wall clock moved against the monotonic clock during the capture.
    """
    counted = re.search(
        r"(\d+) packets? captured\s+(\d+) packets? received by filter\s+(\d+) packets? dropped",
        output,
    )
    if counted is None:
        return f"tcpdump did not end normally: {output.strip()}"
    captured, received, dropped = map(int, counted.groups())
    if dropped or captured != received:
        return f"tcpdump captured {captured} of {received} packets and dropped {dropped}"
    if abs(drift_ns) > 1_000_000:
        return f"the wall clock, which stamps packets, moved by {drift_ns / 1e6:.1f} ms"
    return ""


def _start(command: list[str], errors: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)  # type: ignore


def packets(file: Path, offset_ns: int = 0) -> Iterator[Packet]:
    """Yield the TCP and UDP packets over IPv4 of a pcap file with nanosecond stamps.

    Args:
        file: the file; it stays mapped while a payload is in use.
        offset_ns: subtracted from every stamp.

    Raises:
        ValueError: the file is no pcap file with nanosecond stamps.
    """
    with file.open("rb") as opened:
        data = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
    if struct.unpack_from("=I", data)[0] != _NANOSECOND_MAGIC:
        raise ValueError(
            f"{file}: expected a pcap file with nanosecond stamps in this machine's byte order"
        )
    at = 24
    while at + 16 <= len(data):
        seconds, nanoseconds, captured, length = struct.unpack_from("=IIII", data, at)
        frame = data[at + 16 : at + 16 + captured]
        at += 16 + captured
        packet = _packet(seconds * 1_000_000_000 + nanoseconds - offset_ns, frame, length)
        if packet is not None:
            yield packet


def _packet(t_ns: int, frame: memoryview, length: int) -> Packet | None:
    if struct.unpack_from(">H", frame, 12)[0] != _IPV4 or length != len(frame):
        return None
    internet = _ETHERNET + 4 * (frame[_ETHERNET] & 15)
    protocol = frame[_ETHERNET + 9]
    end = _ETHERNET + struct.unpack_from(">H", frame, _ETHERNET + 2)[0]
    ports = struct.unpack_from(">HH", frame, internet)
    sequence, syn = 0, False
    if protocol == _TCP:
        sequence = struct.unpack_from(">I", frame, internet + 4)[0]
        start = internet + 4 * (frame[internet + 12] >> 4)
        syn = bool(frame[internet + 13] & 2)
    elif protocol == _UDP:
        start = internet + 8
    else:
        return None
    source = socket.inet_ntoa(frame[_ETHERNET + 12 : _ETHERNET + 16])
    return Packet(t_ns, source, ports, protocol, sequence, syn, frame[start:end], length, start)


SEGMENT_BYTES = 1448
"""TCP payload of a full frame, with timestamps."""


def wire_bytes(packet: Packet) -> int:
    """Return a packet's bytes on a wire, where every segment has its own headers."""
    if packet.protocol != _TCP:
        return packet.frame_bytes
    segments = max(1, -(-len(packet.payload) // SEGMENT_BYTES))
    return packet.frame_bytes + (segments - 1) * packet.header_bytes
