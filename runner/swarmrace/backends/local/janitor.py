"""Cleans up after a local race, however the race ended.

The janitor is a separate process in its own session. It reads from its standard input which
processes and folders the race has created. When that input ends, because the race is over or was
killed, the janitor ends those processes, and any other process of this user that names one of those
folders on its command line (a node that outlived its peer). Then it removes the folders and exits.
It imports only the standard library and `host.process_stat`. Network namespaces need no removal:
they end with the processes inside.

Input lines: `pid N START` (START is field 22 of /proc/N/stat, so that a reused pid is left alone);
`witness N START` for a process that would record the end of the others as their own failure (it is
killed before them); `dir PATH`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import swarmrace
from swarmrace.host.process_stat import start_ticks

_GRACE_SECONDS = 5.0
_PROGRAM = f"import sys; sys.path.insert(0, sys.argv[1]); from {__name__} import main; main()"


class Janitor:
    """The race's end of the pipe to its janitor.

    Args:
        lock_fds: file descriptors of locks, which stay open until it has cleaned up.
    """

    def __init__(self, lock_fds: Sequence[int] = ()) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, str(Path(swarmrace.__file__).parents[1])],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=lock_fds,
        )

    def watch_process(self, pid: int, *, witness: bool = False) -> None:
        """End `pid` when cleaning up. A witness is killed before all others."""
        self._send(f"{'witness' if witness else 'pid'} {pid} {start_ticks(pid)}")

    def watch_folder(self, path: Path) -> None:
        """Remove a folder when cleaning up."""
        self._send(f"dir {path.absolute()}")

    def clean(self) -> None:
        """Clean up now, and return when everything is gone."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()


def _end_processes(
    pids: list[tuple[int, str]], signals: Sequence[int] = (signal.SIGTERM, signal.SIGKILL)
) -> None:
    def alive() -> list[int]:
        return [pid for pid, started in pids if start_ticks(pid) == started]

    for number in signals:
        for pid in alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + _GRACE_SECONDS
        while alive() and time.monotonic() < deadline:
            time.sleep(0.02)


def _users(folders: list[str]) -> list[tuple[int, str]]:
    """Return this user's processes that name one of the folders, or a path in one."""
    marks = [re.compile(re.escape(os.fsencode(folder)) + rb"(/|$)") for folder in folders]
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if entry.stat().st_uid != os.getuid():
                continue
            words = (entry / "cmdline").read_bytes().split(b"\0")
            started = start_ticks(int(entry.name))
            if started and any(mark.search(word) for mark in marks for word in words):
                found.append((int(entry.name), started))
    return found


def main() -> None:
    """Read what to clean up until the input ends, then clean it up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    pids: list[tuple[int, str]] = []
    witnesses: list[tuple[int, str]] = []
    folders: list[str] = []
    for line in sys.stdin:
        kind, _, rest = line.rstrip("\n").partition(" ")
        if kind in ("pid", "witness"):
            pid, _, started = rest.partition(" ")
            (witnesses if kind == "witness" else pids).append((int(pid), started))
        elif kind == "dir":
            folders.append(rest)
    _end_processes(witnesses, [signal.SIGKILL])
    _end_processes(pids)
    _end_processes(_users(folders))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # at once: the race waits for this process to end
