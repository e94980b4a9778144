"""Waiting for the rendezvous before anything heavy is imported.

A release's pods start at once, and their interpreters need more CPU than a small node has. The pod
that creates the tracker's volume, and then the tracker, may come last in that queue, while every
peer waits for them. So peers stay out of the way until the tracker listens; this module imports
only the standard library.
"""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

_POLL_SECONDS = 0.25


def wait(url: str, seconds: float) -> bool:
    """Wait until something listens where `url` leads, and return whether it does.

    Args:
        url: an HTTP address; any other scheme is not waited for.
        seconds: maximum wait. Nothing is lost when it ends: the client keeps trying.
    """
    parts = urlsplit(url)
    if not url.startswith(("http://", "https://")) or parts.hostname is None:
        return True
    port = parts.port or (443 if parts.scheme == "https" else 80)
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((parts.hostname, port), timeout=1).close()
        except OSError:
            if time.monotonic() + _POLL_SECONDS > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
