"""Keeps a peer's memory small over many runs with glibc's functions; does nothing without glibc.

libtorrent allocates its 16 KiB blocks from several threads. glibc gives each thread its own arena
and keeps freed memory in it, so a peer grew from 50 MB to 120 MB over five runs.
"""

from __future__ import annotations

import contextlib
import ctypes

_M_ARENA_MAX = -8
_ARENAS = 2
WHY = "a peer's memory doesn't grow over its runs; glibc's own limit is 8 arenas per core"


def settings() -> dict[str, int]:
    """Return what differs from the process's defaults, by glibc's name; nothing without glibc."""
    return {"M_ARENA_MAX": _ARENAS} if hasattr(ctypes.CDLL(None), "mallopt") else {}


def limit_arenas() -> None:
    """Let threads that start from now on share two arenas."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Return freed memory to the system."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
