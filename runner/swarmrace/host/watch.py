"""What a running race asks of its machine again and again: the loopback interface, and that it was
not suspended."""

from __future__ import annotations

import errno
import ipaddress
import socket
import time
from collections.abc import Callable

_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN})
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
        self._loopback = host if _is_loopback(host) else ""
        self._asleep_seconds = asleep_seconds or _asleep_seconds
        self._slept = self._asleep_seconds()

    def down(self) -> str:
        """Return that the loopback interface is down, where peers depend on it, or nothing."""
        return loopback_fault(self._loopback) if self._loopback else ""

    def suspended(self) -> str:
        """Return that the machine was suspended since this was last asked, or nothing."""
        before, self._slept = self._slept, self._asleep_seconds()
        slept = self._slept - before
        if slept < SUSPENDED_SECONDS:
            return ""
        return f"the machine was suspended for {slept:.1f} s; keep it awake while it races"


def loopback_fault(address: str = "127.0.0.1") -> str:
    """Return what is wrong with the loopback interface, or an empty string. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError as error:
            if error.errno in _UNREACHABLE:
                return (
                    f"the loopback interface is down ({address}: {error.strerror}); "
                    "`ip link set lo up`"
                )
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _asleep_seconds() -> float:
    """Return how long the machine has slept: the boot clock runs on then, the monotonic doesn't."""
    boot, monotonic = time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic()
    return boot - monotonic
