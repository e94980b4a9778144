"""Real-time priority, if the machine permits it (CAP_SYS_NICE): for the relay, the sampler of all
interfaces, and every peer at the start instant.

Many peers of one machine wake at the same instant, with other programs running there. With
round-robin priority each reads its counters and takes its stamp before any begins to work. A peer
raises its priority while it waits, idle, for the release of `ready`: on a busy machine, time is
lost between there and the start. It lowers it right after the stamp. No garbage is collected
meanwhile.

A thread with high priority must not wait for one without: a thread started meanwhile doesn't
inherit the priority, and beside 24 busy processes its first turn came 15 to 70 ms late. So none is
started. A thread that holds the interpreter's lock releases it after half a millisecond instead of
five.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator

_USUAL_SWITCH_SECONDS = sys.getswitchinterval()
_PROMPT_SWITCH_SECONDS = 0.0005

RELAY, RELAY_TRIAL, SAMPLER, START = 10, 5, 1, 1
"""Priorities. The relay has the highest, because a link doesn't wait for peers."""


def run_first(priority: int, *, inherited: bool = False) -> None:
    """Give this thread real-time priority (SCHED_RR, sched(7)), if permitted.

    Args:
        priority: from 1 on; higher comes first.
        inherited: whether its threads and child processes inherit the priority.
    """
    policy = os.SCHED_RR if inherited else os.SCHED_RR | os.SCHED_RESET_ON_FORK
    with contextlib.suppress(OSError):  # without the permission it is sometimes late
        os.sched_setscheduler(0, policy, os.sched_param(priority))


def raise_priority() -> None:
    """Raise this thread's priority for the start. Does nothing if it is raised already or not
    permitted."""
    gc.disable()
    sys.setswitchinterval(_PROMPT_SWITCH_SECONDS)
    with contextlib.suppress(OSError):
        if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_OTHER:
            run_first(START)


def lower_priority() -> None:
    """Restore the usual priority. Does nothing if it wasn't raised."""
    gc.enable()
    sys.setswitchinterval(_USUAL_SWITCH_SECONDS)
    with contextlib.suppress(OSError):
        if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR:
            # Removing the flag again would need CAP_SYS_NICE; it does no harm.
            usual = os.SCHED_OTHER | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(0, usual, os.sched_param(0))


@contextlib.contextmanager
def raised_priority() -> Iterator[None]:
    """Raise the priority in the block; restore the usual one at its end."""
    raise_priority()
    try:
        yield
    finally:
        lower_priority()
