"""Segmentation and checksum offload of an interface, by ethtool's ioctl (pyroute2).

Between namespaces the kernel passes on up to 64 KiB as one packet and leaves its checksum to a
network card that doesn't exist. Delaying or losing single frames requires them as a wire would
carry them.

Only pyroute2's ioctl half is used: its `Ethtool` also opens a netlink socket with an event loop of
its own, for 4 ms instead of 0.07 ms, and fails in a thread whose event loop is running.
"""

from __future__ import annotations

import importlib
from contextlib import closing, suppress

_FLAGS = {
    "gro": "generic-receive-offload",
    "gso": "generic-segmentation-offload",
    "lro": "large-receive-offload",
    "tso": "tcp-segmentation-offload",
}
"""Ethtool's names of what `read` returns."""
# Checksums come last, because segmentation depends on them.
_TURNED_OFF = (_FLAGS["tso"], _FLAGS["gso"], _FLAGS["gro"], "tx-checksumming")


def load() -> None:
    """Import what this module needs: 0.1 s of CPU, once in a process, better not during a run."""
    importlib.import_module("pyroute2.ethtool.ioctl")


def turn_off(interface: str) -> None:
    """Turn off tso, gso, gro and transmit checksums in the calling thread's namespace.

    What a driver can't turn off stays on; `read` returns the state.
    """
    from pyroute2.ethtool.ioctl import EthtoolError, IoctlEthtool

    with closing(IoctlEthtool(interface)) as control:
        for flag in _TURNED_OFF:
            with suppress(OSError, EthtoolError):
                control.set_offload_flag(flag, 0)


def read(interface: str) -> dict[str, bool]:
    """Return which of gro, gso, lro and tso are on; empty if the interface doesn't report it."""
    from pyroute2.ethtool.ioctl import EthtoolError, IoctlEthtool

    try:
        with closing(IoctlEthtool(interface)) as control:
            flags = control.get_offload_flags()
    except (OSError, EthtoolError):
        return {}
    return {name: flags[flag] for name, flag in _FLAGS.items()}
