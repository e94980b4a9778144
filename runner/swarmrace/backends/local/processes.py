"""The processes of a local race: forked from one parent that has everything imported.

Forking makes 64 peers start in a second and share the memory of what they import. Each child dies
with that parent, and the parent with the race (PR_SET_PDEATHSIG), so that nothing outlives it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from swarmrace.backends.local.janitor import Janitor
from swarmrace.errors import Exit
from swarmrace.host.termination import ended_by_sigterm

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PRELOAD = ("swarmrace.backends.local.preload",)
_OF_THE_PARENT = (signal.SIGINT, signal.SIGHUP)
"""What a terminal sends to all of its processes and the parent alone answers, by an orderly end."""


def _watch_temporary_folder() -> None:
    """Have multiprocessing's folder (`pymp-…`, for its sockets) removed even after `kill -9`: by a
    janitor that outlives this process by a moment, since all cells of a matrix use one server."""
    if not _JANITORS:
        folder = Path(util.get_temp_dir())
        janitor = Janitor()
        janitor.watch_folder(folder)
        _JANITORS.append(janitor)


_JANITORS: list[Janitor] = []


def context() -> Any:
    """Return the multiprocessing context whose server has everything preloaded; it is started."""
    _watch_temporary_folder()
    # BLAS must not start threads in a process that forks.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(list(_PRELOAD))
    # A terminal sends Ctrl-C to every process in it, and the server would die while it imports.
    # Blocked signals stay so in what is started; in this process they only wait. The tracker comes
    # first: starting it unblocks them.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_PARENT)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return fork


def start(
    fork: Any, name: str, log: Path, namespace: str | None, target: Callable[..., int], *args: Any
) -> BaseProcess:
    """Start `target(*args)` in a process of its own; its return value is the exit code.

    Args:
        fork: from `context`.
        name: for listings.
        log: where its standard output and error go.
        namespace: a network namespace to enter first.
        target: a module-level function.
        args: picklable.
    """
    process: BaseProcess = fork.Process(
        target=_child, args=(name, log, namespace, target, args), name=name, daemon=True
    )
    process.start()
    return process


def _child(
    name: str,
    log: Path,
    namespace: str | None,
    target: Callable[..., int],
    args: tuple[object, ...],
) -> None:
    for number in _OF_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_THE_PARENT)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NAME, name.encode()[:15])
    if os.getppid() == 1:
        os._exit(1)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    logging.basicConfig(level=logging.WARNING, format=f"{name} %(levelname)s %(message)s")
    if namespace is not None:
        from swarmrace.network.namespaces import enter

        enter(namespace)
    gc.collect()
    gc.freeze()
    sys.exit(target(*args))


def run_peer(config: Any) -> int:
    """Live one peer's life; return its exit code."""
    from swarmrace.peer.peer import Peer

    return asyncio.run(ended_by_sigterm(Peer(config).live()))


def run_relay(config: Any) -> int:
    """Relay the race's frames until killed."""
    from swarmrace.network.relay import run

    return run(config)


def run_tracker(config: Any) -> int:
    """Serve the rendezvous until SIGTERM; return its exit code: 11 where the machine ended it."""
    import uvloop

    from swarmrace.host import infrastructure
    from swarmrace.rendezvous.server import serve

    try:
        return uvloop.run(ended_by_sigterm(serve(config)))
    except (OSError, MemoryError) as error:
        number = infrastructure.number_of(error)
        if number is None:
            raise
        trouble = infrastructure.disk_trouble(config.data_dir)
        print(trouble or infrastructure.describe(number, config.data_dir), file=sys.stderr)
        return Exit.INFRASTRUCTURE
