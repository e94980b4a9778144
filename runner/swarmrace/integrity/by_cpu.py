"""Goes through a race's runs on all CPUs, where there are enough of them to be worth it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from swarmrace.results.folder import RunRecord

FEWEST_PEERS = 200
"""Below it one process has checked them before others have begun (2 to 4 ms each)."""
_MOST_PROCESSES = 8
"""Reading the folder comes before, in one process: more save little."""
_CHUNKS = 4
"""Of each process, so that none has much left when the others have ended."""

T = TypeVar("T")
_check: Callable[[RunRecord], list[Any]] | None = None
_runs: Sequence[RunRecord] = ()


def each(check: Callable[[RunRecord], list[T]], runs: Sequence[RunRecord]) -> list[T]:
    """Return the faults that `check` returns of each run, in the order of the runs."""
    cpus = min(len(os.sched_getaffinity(0)), len(runs), _MOST_PROCESSES)
    enough = sum(len(record.peers) for record in runs) >= FEWEST_PEERS
    # A process with threads isn't forked: a lock that another thread holds would never be free.
    if cpus > 1 and enough and threading.active_count() == 1:
        try:
            return _forked(check, runs, cpus)
        except (OSError, BrokenProcessPool):
            pass  # too few processes or too little memory: it takes longer
    return [line for record in runs for line in check(record)]


def _forked(check: Callable[[RunRecord], list[T]], runs: Sequence[RunRecord], cpus: int) -> list[T]:
    global _check, _runs
    _check, _runs = check, runs  # the forked have them without a copy
    context = multiprocessing.get_context("fork")
    try:
        with warnings.catch_warnings():
            # Of numpy's own idle threads, which Python 3.12 counts too.
            warnings.simplefilter("ignore", DeprecationWarning)
            with ProcessPoolExecutor(cpus, context, _ignore_interrupts) as pool:
                chunk = max(1, len(runs) // (_CHUNKS * cpus))
                return [
                    line
                    for lines in pool.map(_of_number, range(len(runs)), chunksize=chunk)
                    for line in lines
                ]
    finally:
        _check, _runs = None, ()


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _of_number(number: int) -> list[Any]:
    assert _check is not None
    return _check(_runs[number])
