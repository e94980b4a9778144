"""Listening sockets on whichever address families a host or pod has, and addresses in URLs."""

from __future__ import annotations

import contextlib
import socket

EVERYWHERE = "*"
"""Every address, IPv4 and IPv6, whichever the kernel has."""


def listening(host: str, port: int, backlog: int = 128) -> socket.socket:
    """Return a listening socket.

    Args:
        host: IP address or name; `*`, `::` or an empty string means every address.
        port: 0 for any free one.
        backlog: maximum number of connections waiting to be accepted.

    Raises:
        OSError: the address can't be listened on.
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


def url_host(address: str) -> str:
    """Return an address or name as a URL has it: IPv6 in brackets (RFC 3986, section 3.2.2)."""
    return f"[{address}]" if ":" in address else address
