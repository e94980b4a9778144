"""What a running race asks of its machine again and again: the loopback interface, and that it was
not suspended."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
import time
from collections.abc import Callable

_SIOCGIFFLAGS = 0x8913
_IFF_UP = 0x1
SUSPENDED_SECONDS = 0.5
"""A machine that slept for longer has ended what was raced: its peers' clocks stood still, those of
others didn't."""


class MachineWatch:
    """Watches the machine that a process runs on.

    Args:
        host: the IP address or name that peers reach this process at.
        asleep_seconds: returns how long the machine has been suspended since it booted.
    """

    def __init__(self, host: str, asleep_seconds: Callable[[], float] | None = None) -> None:
        self._by_loopback = _is_loopback(host)
        self._asleep_seconds = asleep_seconds or _asleep_seconds
        self._slept = self._asleep_seconds()

    def down(self) -> str:
        """Return that the loopback interface is down, where peers depend on it, or nothing."""
        return loopback_fault() if self._by_loopback else ""

    def suspended(self) -> str:
        """Return that the machine was suspended since this was last asked, or nothing."""
        before, self._slept = self._slept, self._asleep_seconds()
        slept = self._slept - before
        if slept < SUSPENDED_SECONDS:
            return ""
        return f"the machine was suspended for {slept:.1f} s; keep it awake while it races"


def loopback_fault() -> str:
    """Return what is wrong with the loopback interface of this network, or an empty string."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            found = fcntl.ioctl(asked, _SIOCGIFFLAGS, struct.pack("16s16x", b"lo"))
        except OSError:
            return ""  # it has another name here
    (flags,) = struct.unpack_from("=H", found, 16)
    return "" if flags & _IFF_UP else "the loopback interface is down: `ip link set lo up`"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _asleep_seconds() -> float:
    """Return how long the machine has slept: the boot clock runs on then, the monotonic doesn't."""
    boot, monotonic = time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic()
    return boot - monotonic
