"""Listening on whichever address families a host or pod has."""

from __future__ import annotations

import contextlib
import socket

EVERYWHERE = "*"
"""Every address, IPv4 and IPv6, as far as the kernel has them."""


def listening(host: str, port: int, backlog: int = 128) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: IP address or name; `*`, `::` or nothing listens everywhere.
        port: 0 for any.
        backlog: longest queue of connections not yet accepted.

    Raises:
        OSError: it can't be listened on.
    """
    if host not in ("", "::", EVERYWHERE):
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=backlog)
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True
            )
    return socket.create_server(("0.0.0.0", port), backlog=backlog)
