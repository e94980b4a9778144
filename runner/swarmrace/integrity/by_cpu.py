"""Check a race's runs on all CPUs, if there are enough runs to be worth it."""

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

MIN_PEERS = 200
"""With fewer, one process is done before further ones have started (a peer takes 2 to 4 ms)."""
_MAX_PROCESSES = 8
"""One process reads the folder first, so more processes save little."""
_CHUNKS_PER_PROCESS = 4
"""Several, so that all processes end at about the same time."""

T = TypeVar("T")
_check: Callable[[RunRecord], list[Any]] | None = None
_runs: Sequence[RunRecord] = ()


def each(check: Callable[[RunRecord], list[T]], runs: Sequence[RunRecord]) -> list[T]:
    """Return what `check` returns for each run, in the order of the runs."""
    cpus = min(len(os.sched_getaffinity(0)), len(runs), _MAX_PROCESSES)
    enough = sum(len(record.peers) for record in runs) >= MIN_PEERS
    # Don't fork a process with threads: a lock that another thread holds would never be released.
    # A process that was forked itself, to read one of many folders, has the others beside it.
    alone = threading.active_count() == 1 and multiprocessing.parent_process() is None
    if cpus > 1 and enough and alone:
        try:
            return _forked(check, runs, cpus)
        except (OSError, BrokenProcessPool):
            pass  # not enough processes or memory: check them here, which takes longer
    return [line for record in runs for line in check(record)]


def _forked(check: Callable[[RunRecord], list[T]], runs: Sequence[RunRecord], cpus: int) -> list[T]:
    global _check, _runs
    _check, _runs = check, runs  # forked processes inherit them, so nothing is pickled
    context = multiprocessing.get_context("fork")
    try:
        with warnings.catch_warnings():
            # Python 3.12 also warns about numpy's own idle threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            with ProcessPoolExecutor(cpus, context, _ignore_interrupts) as pool:
                chunk = max(1, len(runs) // (_CHUNKS_PER_PROCESS * cpus))
                return [
                    line
                    for lines in pool.map(_check_index, range(len(runs)), chunksize=chunk)
                    for line in lines
                ]
    finally:
        _check, _runs = None, ()


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _check_index(index: int) -> list[Any]:
    assert _check is not None
    return _check(_runs[index])
