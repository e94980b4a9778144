"""What has reached a torrent's TCP connections and libtorrent has not read yet.

libtorrent stops reading while its disk is behind, and reads megabytes at a time where it is not.
The bytes wait in the sockets' queues, which belong to this process: the kernel says how many they
are (SIOCINQ, tcp(7)). Nothing is done to the sockets.

They are taken for blocks, whole ones but for the first and the last, each with its header. Headers
are taken off as few as there can be: were they one too many, the last byte would seem to come, and
a stall to begin, only when libtorrent has read everything. Messages that hold no block (some 10
bytes each) are few among megabytes.
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

import libtorrent as lt

from swarmrace.systems.bittorrent.torrent import BLOCK_BYTES

MESSAGE_BYTES = 13
"""What a block has in front of it on the wire (BEP 3)."""

LOOK_SECONDS = 0.25
"""How often connections are looked for."""
_OWN = Path("/proc/self/fd")
_INT = struct.Struct("@i")


class UnreadBytes:
    """Counts the unread bytes of one torrent's connections.

    Args:
        handle: the torrent's.
    """

    def __init__(self, handle: lt.torrent_handle) -> None:
        self._handle = handle
        self._sockets: list[tuple[int, int]] = []
        self._remote: dict[int, tuple[str, int] | None] = {}
        self._due = 0.0

    def payload(self) -> int:
        """Return how many bytes of payload wait.

        Raises:
            RuntimeError: the torrent is gone.
        """
        if time.monotonic() >= self._due:
            self._look()
            self._due = time.monotonic() + LOOK_SECONDS
        waiting = 0
        for number, inode in self._sockets:
            with contextlib.suppress(OSError):
                if os.fstat(number).st_ino == inode:  # still the same socket
                    found = _INT.unpack(fcntl.ioctl(number, termios.FIONREAD, bytes(4)))[0]
                    waiting += found - found // (BLOCK_BYTES + MESSAGE_BYTES) * MESSAGE_BYTES
        return waiting

    def _look(self) -> None:
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
                        found.append((number, inode))
        self._sockets, self._remote = found, remote


def _remote(number: int) -> tuple[str, int] | None:
    """Return the other end of a descriptor's TCP connection, or None where it is none."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as found:
        if found.type == socket.SOCK_STREAM and found.family in (socket.AF_INET, socket.AF_INET6):
            host, port = found.getpeername()[:2]
            return host, port
    return None
