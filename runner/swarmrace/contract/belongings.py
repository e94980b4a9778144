"""What a system might leave behind in this process: threads, children, sockets, files."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from swarmrace.contract.expect import expect


def belongings(folder: Path) -> dict[str, set[Any]]:
    """Return what this process has now of all that a system might leave behind."""
    me = psutil.Process()
    return {
        "threads": {thread.name for thread in threading.enumerate()},
        "native threads": set(range(me.num_threads())),
        "child processes": {child.pid for child in me.children(recursive=True)},
        "sockets": {(c.laddr, c.raddr, c.status) for c in me.net_connections("all") if c.fd >= 0},
        "open files": {each.path for each in me.open_files() if each.path.startswith(str(folder))},
        "files": {str(path) for peer in folder.glob("peer*") for path in peer.rglob("*")},
    }


def left_behind(
    folder: Path, before: dict[str, set[Any]], keeps: tuple[str, ...]
) -> dict[str, set[Any]]:
    """Return what this process has now and didn't have before."""
    now = belongings(folder)
    now["files"] = {path for path in now["files"] if not path.endswith(keeps or "/")}
    return {what: found - before[what] for what, found in now.items() if found - before[what]}


@contextmanager
def leaves_nothing(
    folder: Path, keeps: tuple[str, ...] = (), seconds: float = 60.0
) -> Iterator[None]:
    """Fail if the block leaves something behind.

    Args:
        folder: the swarm's folder.
        keeps: suffixes of files that may stay.
        seconds: how long the kernel may take to end a thread.

    Raises:
        ContractError: something is left.
    """
    before = belongings(folder)
    yield
    deadline = time.monotonic() + seconds
    while (left := left_behind(folder, before, keeps)) and time.monotonic() < deadline:
        time.sleep(0.01)
    expect(not left, "nothing left behind after close", left)
