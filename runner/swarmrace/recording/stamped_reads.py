"""Reads of a connection, each with the instant at which its last byte reached the host.

Linux stamps each packet when the interface passes it on, and returns the stamp of a read's last
packet together with the data (SO_TIMESTAMPNS, socket(7)). So an arrival doesn't depend on when the
reader gets a processor. Without such a stamp (other systems, TLS) a byte arrives when its read
returns.

The stamp is a wall-clock time. Only its age is used, and the arrival is kept between the read
before and this one, so a step of the clock moves it by no more than that.
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


def enable_receive_stamps(connection: socket.socket) -> None:
    """Have the kernel stamp what a connection receives, if it can. Call it before connecting."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


class StampedReads:
    """Reads one connection.

    Args:
        connection: connected after `enable_receive_stamps`.
        now_ns: returns the time of the clock that arrivals are stamped with.
        wall_ns: returns the kernel's wall-clock time; replaced in tests.
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
        """Read into `buffer`; return the number of bytes, and when the last of them arrived.

        0 bytes mean the end of the stream.

        Raises:
            OSError: as `recv` does.
        """
        if not self._stamped:
            return self._connection.recv_into(buffer), self._now_ns()
        count, extra, _, _ = self._connection.recvmsg_into((buffer,), self._room)
        # In this order, an interruption between the two makes an arrival later, never too early.
        wall_ns = self._wall_ns()
        now_ns = arrived_ns = self._now_ns()
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                arrived_ns -= wall_ns - seconds * 1_000_000_000 - nanoseconds
        self._last_ns = min(now_ns, max(self._last_ns, arrived_ns))
        return count, self._last_ns
