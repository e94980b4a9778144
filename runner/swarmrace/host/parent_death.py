"""Makes a child process end with the one that started it, even if that one is killed."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def kill_with_parent() -> Callable[[], None]:
    """Return a function that the child calls between fork and exec (`preexec_fn`).

    The kernel then kills the child when the thread that started it ends (prctl(2),
    PR_SET_PDEATHSIG).
    """
    parent = os.getpid()

    def call_in_child() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return call_in_child
