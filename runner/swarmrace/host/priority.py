"""Who runs first, where the machine permits it (CAP_SYS_NICE): the relay, the sampler of all
interfaces, and every peer at the start instant.

Many peers of one machine wake at the same instant, beside whatever else runs there. By round-robin
priority each gets to read its counters and to take its stamp before anybody begins to work. It is
raised while a peer waits, idle, for the release of `ready`: on a busy machine the way from there to
the start is where time is lost. It is given back right after the stamp. No garbage is collected
meanwhile.

What is prompt must not wait for a thread that isn't: a thread begun meanwhile does not inherit the
priority, and beside 24 busy processes its first turn came 15 to 70 ms late. So none is begun. A
thread that holds the interpreter's lock gives it up after half a millisecond instead of five.
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
"""Priorities: the relay comes before all, since a link would not wait for peers."""


def run_first(priority: int, *, inherited: bool = False) -> None:
    """Let this thread run before whatever isn't real time (SCHED_RR, sched(7)), where permitted.

    Args:
        priority: from 1 on; a higher one comes before a lower one.
        inherited: whether threads and processes begun by this one run so too.
    """
    policy = os.SCHED_RR if inherited else os.SCHED_RR | os.SCHED_RESET_ON_FORK
    with contextlib.suppress(OSError):  # without the permission it is late at times
        os.sched_setscheduler(0, policy, os.sched_param(priority))


def raise_priority() -> None:
    """Let this thread run first among equals. Harmless where it already does or may not."""
    gc.disable()
    sys.setswitchinterval(_PROMPT_SWITCH_SECONDS)
    with contextlib.suppress(OSError):
        if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_OTHER:
            run_first(START)


def lower_priority() -> None:
    """Give it back. Harmless where it was not raised."""
    gc.enable()
    sys.setswitchinterval(_USUAL_SWITCH_SECONDS)
    with contextlib.suppress(OSError):
        if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR:
            # Taking the flag off again needs CAP_SYS_NICE, and it harms nobody.
            usual = os.SCHED_OTHER | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(0, usual, os.sched_param(0))


@contextlib.contextmanager
def prompt() -> Iterator[None]:
    """Raise the priority, and give it back at the end, whoever had raised it."""
    raise_priority()
    try:
        yield
    finally:
        lower_priority()
