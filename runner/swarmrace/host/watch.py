"""What is checked repeatedly during a race: that the loopback interface is up and the machine was
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
"""A longer suspension ends the run: the clocks of this machine's peers stopped, those of other
machines didn't."""


class MachineWatch:
    """Watches the machine that a process runs on.

    Args:
        host: the IP address or name at which peers reach this process.
        suspended_seconds: returns how long the machine has been suspended since it booted.
    """

    def __init__(self, host: str, suspended_seconds: Callable[[], float] | None = None) -> None:
        self._uses_loopback = _is_loopback(host)
        self._suspended_seconds = suspended_seconds or _suspended_seconds
        self._suspended = self._suspended_seconds()

    def down(self) -> str:
        """Return that the loopback interface is down, if peers depend on it; otherwise nothing."""
        return loopback_fault() if self._uses_loopback else ""

    def suspended(self) -> str:
        """Return that the machine was suspended since the last call; otherwise nothing."""
        before, self._suspended = self._suspended, self._suspended_seconds()
        seconds = self._suspended - before
        if seconds < SUSPENDED_SECONDS:
            return ""
        return f"the machine was suspended for {seconds:.1f} s; keep it awake during a race"


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


def _suspended_seconds() -> float:
    """Return how long the machine was suspended: the boot clock continues, the monotonic clock
    stops."""
    boot, monotonic = time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic()
    return boot - monotonic
