"""Reads of a connection, each with the instant at which its last byte had reached the host.

Linux stamps a packet when its interface hands it over, and gives the stamp of the last packet of a
read with it (SO_TIMESTAMPNS, socket(7)). So an arrival doesn't wait for the reader to get a
processor. Where there is no such stamp (other systems, TLS) a byte has come when its read returns.

The stamp is of the wall clock. Only how long ago it was is used, and it lies between the read
before and this one: a step of the clock moves an arrival by no more than that.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from collections.abc import Callable

_SO_TIMESTAMPNS = 35
"""asm-generic/socket.h; Python has no name for it."""
_TIMESPEC = struct.Struct("@ll")


def ask_for_stamps(connection: socket.socket) -> None:
    """Have the kernel stamp what a connection receives, where it can; to be called before it is
    made."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


class StampedReads:
    """Reads one connection.

    Args:
        connection: connected, after `ask_for_stamps`.
        now_ns: the clock of the stamps.
        wall_ns: the kernel's, for tests.
    """

    def __init__(
        self,
        connection: socket.socket,
        now_ns: Callable[[], int],
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._connection = connection
        self._now_ns, self._wall_ns = now_ns, wall_ns
        self._stamped = type(connection) is socket.socket  # TLS has no messages
        self._last_ns = 0
        self._room = socket.CMSG_SPACE(_TIMESPEC.size)

    def read(self, buffer: memoryview) -> tuple[int, int]:
        """Fill some of `buffer`; return how many bytes, and when the last of them had come."""
        if not self._stamped:
            return self._connection.recv_into(buffer), self._now_ns()
        count, extra, _, _ = self._connection.recvmsg_into((buffer,), self._room)
        # In this order: what interrupts the two makes an arrival later, never earlier than true.
        wall_ns = self._wall_ns()
        now_ns = came_ns = self._now_ns()
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                came_ns -= wall_ns - seconds * 1_000_000_000 - nanoseconds
        self._last_ns = min(now_ns, max(self._last_ns, came_ns))
        return count, self._last_ns
