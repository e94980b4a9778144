"""Bytes that have reached a torrent's TCP connections and that libtorrent hasn't read yet.

libtorrent stops reading while its disk is behind, and otherwise reads megabytes at a time. Unread
bytes wait in the queues of the sockets, which belong to this process: the kernel reports their
number (SIOCINQ, tcp(7)). The sockets themselves aren't touched.

The bytes are assumed to be blocks, each with its header, all but the first and the last of them
whole. The minimum possible number of headers is subtracted: with one too many, the last byte would
seem to come, and a stall to begin, only once libtorrent has read everything. Messages without a
block (about 10 bytes each) hardly matter among megabytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
import termios
import time
from pathlib import Path
from typing import NamedTuple

import libtorrent as lt

from swarmrace.systems.bittorrent.torrent import BLOCK_BYTES

MESSAGE_BYTES = 13
"""Size of a block's header on the wire (BEP 3)."""

REFRESH_SECONDS = 0.25
"""Minimum time between two searches for the connections' sockets."""
REFRESH_FACTOR = 200
"""That time as a multiple of the last search. With dozens of connections on busy CPUs a search
takes milliseconds, which the transfer would lose."""
_OWN = Path("/proc/self/fd")
_INT = struct.Struct("@i")
_RECEIVED = struct.Struct("@128xQ")
"""`tcpi_bytes_received` in `struct tcp_info` (linux/tcp.h)."""


class Connection(NamedTuple):
    """A connection's socket: its descriptor, and the inode that shows it is still the same."""

    number: int
    inode: int


class UnreadBytes:
    """Counts the unread bytes of one torrent's connections.

    Args:
        handle: the torrent.
    """

    def __init__(self, handle: lt.torrent_handle) -> None:
        self._handle = handle
        self._sockets: list[Connection] = []
        self._remote: dict[int, tuple[str, int] | None] = {}
        self._due = 0.0

    def payload(self) -> int:
        """Return how many bytes of payload wait.

        Raises:
            RuntimeError: the torrent was removed.
        """
        began = time.monotonic()
        if began >= self._due:
            self._find_sockets()
            ended = time.monotonic()
            self._due = ended + max(REFRESH_SECONDS, REFRESH_FACTOR * (ended - began))
        waiting = 0
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                waiting += payload_in(waiting_bytes(connection))
        return waiting

    def read_bytes(self) -> dict[Connection, int]:
        """Return how many bytes libtorrent has read of each connection found by `payload`."""
        found: dict[Connection, int] = {}
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                # In this order what comes in between counts as read, never as still to come.
                waiting = waiting_bytes(connection)
                found[connection] = received_bytes(connection) - waiting
        return found

    def _find_sockets(self) -> None:
        """Find the sockets of the torrent's connections among this process's descriptors."""
        wanted = {tuple(peer.ip) for peer in self._handle.get_peer_info()}
        found, remote = [], {}
        for each in _OWN.iterdir():
            with contextlib.suppress(OSError):
                number = int(each.name)
                status = os.fstat(number)
                if stat.S_ISSOCK(status.st_mode):
                    inode = status.st_ino
                    remote[inode] = self._remote.get(inode) or _remote(number)
                    if remote[inode] in wanted:
                        found.append(Connection(number, inode))
        self._sockets, self._remote = found, remote


def payload_in(count: int) -> int:
    """Return the maximum payload in consecutive bytes of a connection."""
    return count - count // (BLOCK_BYTES + MESSAGE_BYTES) * MESSAGE_BYTES if count > 0 else 0


def waiting_bytes(connection: Connection) -> int:
    """Return how many bytes wait in a socket.

    Raises:
        OSError: it is closed.
    """
    _check(connection)
    found: int = _INT.unpack(fcntl.ioctl(connection.number, termios.FIONREAD, bytes(4)))[0]
    return found


def received_bytes(connection: Connection) -> int:
    """Return how many bytes a socket has received in order, read or not (`TCP_INFO`, tcp(7)).

    Raises:
        OSError: it is closed, or the kernel is older than Linux 4.1.
    """
    _check(connection)
    borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=connection.number)
    try:
        info = borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.size)
    finally:
        borrowed.detach()  # it is libtorrent's
    if len(info) < _RECEIVED.size:
        raise OSError("this kernel doesn't count a socket's received bytes")
    found: int = _RECEIVED.unpack(info)[0]
    return found


def _check(connection: Connection) -> None:
    if os.fstat(connection.number).st_ino != connection.inode:
        raise OSError("the descriptor now belongs to something else")


def _remote(number: int) -> tuple[str, int] | None:
    """Return the other end of a descriptor's TCP connection, or None if it isn't one."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as found:
        if found.type == socket.SOCK_STREAM and found.family in (socket.AF_INET, socket.AF_INET6):
            host, port = found.getpeername()[:2]
            return host, port
    return None
