"""The processes of a local race, forked from one parent that has imported everything.

With forking, 64 peers start in a second and share the memory of their modules. Each child dies with
that parent, and the parent with the race (PR_SET_PDEATHSIG), so no process outlives the race.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
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
_TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)
"""A terminal sends these to all of its processes. Only the parent handles them, by ending the race.
"""


def _watch_temporary_folder() -> None:
    """Start a janitor that removes multiprocessing's folder (`pymp-…`, for its sockets), even after
    `kill -9`. It lives as long as this process, because all cells of a matrix use one server."""
    if not _JANITORS:
        folder = Path(util.get_temp_dir())
        janitor = Janitor()
        janitor.watch_folder(folder)
        _JANITORS.append(janitor)


_JANITORS: list[Janitor] = []


def context() -> Any:
    """Return the multiprocessing context; its server is started and has everything preloaded."""
    _watch_temporary_folder()
    # BLAS must not start threads in a process that forks.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(list(_PRELOAD))
    # A terminal sends Ctrl-C to all of its processes, and the server would die while it imports.
    # So block the signals: the server inherits the mask, and in this process they only wait. Start
    # the resource tracker first, because that unblocks them.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINAL_SIGNALS)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return fork


def start(
    fork: Any, name: str, log: Path, namespace: str | None, target: Callable[..., int], *args: Any
) -> BaseProcess:
    """Start `target(*args)` in a new process, whose exit code is its return value.

    Args:
        fork: the context from `context`.
        name: the process's name.
        log: file for its standard output and error.
        namespace: a network namespace to enter first.
        target: a module-level function.
        args: picklable arguments.
    """
    process: BaseProcess = fork.Process(
        target=_child, args=(name, log, namespace, target, args), name=name, daemon=True
    )
    with _main_not_imported():
        process.start()
    return process


@contextlib.contextmanager
def _main_not_imported() -> Iterator[None]:
    """Start processes that don't import this process's main module.

    multiprocessing imports it in every child, because a target may be defined there; here none is.
    For the program `swarmrace` that is the whole command line, a tenth of a second of CPU in every
    peer. A module named `__main__` isn't imported.
    """
    main = sys.modules["__main__"]
    before = main.__spec__
    main.__spec__ = ModuleSpec("swarmrace.__main__", None)
    try:
        yield
    finally:
        main.__spec__ = before


def _child(
    name: str,
    log: Path,
    namespace: str | None,
    target: Callable[..., int],
    args: tuple[object, ...],
) -> None:
    for number in _TERMINAL_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERMINAL_SIGNALS)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NAME, name.encode()[:15])
    if os.getppid() == 1:
        os._exit(1)
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    logging.basicConfig(level=logging.WARNING, format=f"{name} %(levelname)s %(message)s")
    if namespace is not None:
        from swarmrace.network.namespaces import enter

        enter(namespace)
    sys.exit(target(*args))


def run_peer(config: Any) -> int:
    """Run a peer until it ends; return its exit code."""
    from swarmrace.peer.peer import Peer

    return asyncio.run(ended_by_sigterm(Peer(config).participate()))


def run_relay(config: Any) -> int:
    """Relay the race's frames until killed."""
    from swarmrace.network.relay import run

    return run(config)


def run_tracker(config: Any) -> int:
    """Serve the rendezvous until SIGTERM; return its exit code: 11 if the machine fails."""
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
