"""A relay's frames by packet(7): rings to receive, sockets to send in batches."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

SLOT = 2048
_BLOCK = 1 << 16
MIN_FRAMES = _BLOCK // SLOT
"""Minimum size of a ring in frames; any size is a power of two times this."""
BATCH = 512
_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION, _PACKET_IGNORE_OUTGOING = 5, 6, 10, 23
_TPACKET_V2 = 1
_SO_SNDBUFFORCE, _SO_ATTACH_FILTER = 32, 26
_QUEUE_BYTES = 64_000_000
_MAX_SOCKETS = 64
"""Sockets of one port. Inside a user namespace a socket holds only about 200 frames."""
# <linux/if_packet.h>: struct tpacket2_hdr, then struct sockaddr_ll at 32; data at tp_mac
FRAME = np.dtype(
    {
        "names": ["status", "length", "kept", "mac", "sec", "nsec", "ifindex"],
        "formats": ["u4", "u4", "u4", "u2", "u4", "u4", "i4"],
        "offsets": [0, 4, 8, 12, 16, 20, 36],
        "itemsize": SLOT,
    }
)
_IOVEC = np.dtype([("base", np.uintp), ("length", np.uintp)])
# struct mmsghdr: name, namelen, iov, iovlen, control, controllen, flags, msg_len
_MESSAGE = np.dtype(
    {
        "names": ["iov", "iovlen"],
        "formats": [np.uintp, np.uintp],
        "offsets": [16, 24],
        "itemsize": 64,
    }
)
_MAC_BITS = np.uint64((1 << 48) - 1)


@dataclass(frozen=True, slots=True)
class Port:
    """One link's end at the relay."""

    interface: str
    mac: bytes
    """MAC address of the link's other end: 6 bytes."""


class Exits:
    """The sockets that frames leave by, several for each port, so that no port holds up another.

    A port has as many sockets as the frames that wait at its limiter fill.

    Args:
        ports: the switch's ports.
        indexes: their interfaces' indexes.
        count: adds to one of the relay's counts: `lost`, `foreign`, `limited`.
    """

    def __init__(
        self, ports: Sequence[Port], indexes: Sequence[int], count: Callable[[str, int], None]
    ) -> None:
        self._count = count
        self._interfaces = [port.interface for port in ports]
        self._sockets = [[_exit_socket(name)] for name in self._interfaces]
        keys = np.array([int.from_bytes(port.mac, "little") for port in ports], np.uint64)
        self._by_mac = np.argsort(keys)
        self._macs = keys[self._by_mac]
        self._by_index = np.full(max(indexes) + 1, -1)
        self._by_index[list(indexes)] = np.arange(len(indexes))
        self._pieces = np.zeros(BATCH, _IOVEC)
        self._messages = np.zeros(BATCH, _MESSAGE)
        start = self._pieces.__array_interface__["data"][0]
        self._messages["iov"] = start + np.arange(BATCH) * _IOVEC.itemsize
        self._messages["iovlen"] = 1
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)

    def send(
        self, frames: np.ndarray, address: int, lost: Callable[[np.ndarray], np.ndarray] | None
    ) -> None:
        """Send frames.

        Args:
            frames: consecutive frames of a ring.
            address: the memory address of the first.
            lost: returns, for the frames' source ports, which frames are lost; None loses none.
        """
        offset = int(frames["mac"][0])
        raw = frames.view(np.uint8).reshape(len(frames), SLOT)
        heads = np.ascontiguousarray(raw[:, offset : offset + 8]).view("<u8")[:, 0]
        sources = self._by_index[frames["ifindex"]]
        found = np.searchsorted(self._macs, heads & _MAC_BITS).clip(max=len(self._macs) - 1)
        known = self._macs[found] == heads & _MAC_BITS
        exits = np.where(known, self._by_mac[found], -1)
        everywhere = (heads & np.uint64(1)).astype(bool)
        foreign = ((exits < 0) & ~everywhere) | (frames["kept"] != frames["length"])
        dropped = foreign
        if lost is not None:
            drawn = lost(sources)
            self._count("lost", int(drawn.sum()))
            dropped = foreign | drawn
        if foreign.any():
            self._count("foreign", int(foreign.sum()))
        exits[dropped] = -1
        everywhere &= ~dropped
        starts = address + offset + np.arange(len(frames)) * SLOT
        if everywhere.any():
            for port in range(len(self._sockets)):
                self._send_from(
                    port, (exits == port) | (everywhere & (sources != port)), starts, frames
                )
        else:
            for port in np.unique(exits):
                if port >= 0:
                    self._send_from(int(port), exits == port, starts, frames)

    def _send_from(
        self, port: int, chosen: np.ndarray, starts: np.ndarray, frames: np.ndarray
    ) -> None:
        places = np.flatnonzero(chosen)
        count, sent, full = len(places), 0, 0
        sockets = self._sockets[port]
        self._pieces["base"][:count] = starts[places]
        self._pieces["length"][:count] = frames["kept"][places]
        messages = self._messages.__array_interface__["data"][0]
        while sent < count:
            done = self._sendmmsg(
                sockets[0].fileno(),
                messages + sent * _MESSAGE.itemsize,
                count - sent,
                socket.MSG_DONTWAIT,
            )
            if done > 0:
                sent, full = sent + done, 0
                continue
            number = ctypes.get_errno()
            if number == errno.EINTR:
                continue
            if number not in (errno.ENOBUFS, errno.EAGAIN, errno.ENETDOWN):
                raise OSError(number, os.strerror(number))
            # EAGAIN: frames that wait at the limiter fill this socket, not the limiter's queue.
            if number == errno.EAGAIN and full < _MAX_SOCKETS:
                full += 1
                if full == len(sockets):
                    sockets.insert(0, _exit_socket(self._interfaces[port]))
                else:
                    sockets.append(sockets.pop(0))
                continue
            self._count("limited", 1)
            sent, full = sent + 1, 0


def ring_socket(*, only: str = "", not_from: int | None = None) -> socket.socket:
    """Return a socket that will fill a ring, of one interface or of all but one."""
    # A socket of all interfaces receives frames from now on; those before the ring are dropped.
    protocol = 0 if only else socket.htons(_ETH_P_ALL)
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, protocol)
    made.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
    made.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    if not_from is not None:
        # Classic BPF: load SKF_AD_IFINDEX; if it is the hub's, nothing, otherwise the whole frame.
        lines = ((0x20, 0, 0, 0xFFFFF008), (0x15, 0, 1, not_from), (6, 0, 0, 0), (6, 0, 0, 1 << 18))
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
        program = struct.pack("HP", len(lines), ctypes.addressof(code))
        made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    if only:
        made.bind((only, _ETH_P_ALL))
    return made


def overflowed(source: socket.socket) -> int:
    """Return how many frames found a socket's ring full since the last call."""
    _, drops = struct.unpack("=II", source.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return int(drops)


def make_ring(source: socket.socket, frames: int) -> np.ndarray:
    """Give a socket a ring of `frames` frames and return the ring."""
    request = struct.pack("=IIII", _BLOCK, frames * SLOT // _BLOCK, SLOT, frames)
    source.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
    return np.frombuffer(mmap.mmap(source.fileno(), frames * SLOT), FRAME)


def _exit_socket(interface: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.bind((interface, 0))
    try:
        made.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _QUEUE_BYTES)
    except PermissionError:  # inside a user namespace: the maximum without privileges
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _QUEUE_BYTES)
    return made
