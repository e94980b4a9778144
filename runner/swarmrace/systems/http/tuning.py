"""The baseline's socket options and the settings it reports.

The profiles `stock` and `tuned` are the same: on loopback, fixed socket buffers of 1 and 4 MiB and
reads of 64 KiB to 1 MiB did not change the throughput of three leechers beyond its spread, and
every plain server and client uses the kernel's own tuning of buffers.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swarmrace.systems.http.options import HttpOptions

_KERNEL = {
    "congestionControl": "tcp_congestion_control",
    "kernelReceiveBuffer": "tcp_rmem",
    "kernelSendBuffer": "tcp_wmem",
}


def configure(sock: socket.socket) -> None:
    """Set a socket's options, before it listens or connects."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def settings(options: HttpOptions) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Return every effective setting, and the reason for each that isn't the system's default."""
    found: dict[str, Any] = {
        "profile": options.profile,
        "readSize": options.read_size,
        "tcpNoDelay": True,
    }
    for key, name in _KERNEL.items():
        try:
            found[key] = " ".join(Path(f"/proc/sys/net/ipv4/{name}").read_text().split())
        except OSError:
            found[key] = "unknown"
    reasons = {
        "profile": "stock and tuned are the same: no other buffer or read size was faster",
        "readSize": "recording: the maximum size of one read, so the resolution of the marks",
        "tcpNoDelay": "as in web servers: otherwise the last packet of a small file may wait for a "
        "delayed acknowledgement (RFC 9293, 3.7.4)",
    }
    return found, reasons
