"""Cleans up after a local race, whatever happened to it.

A process of its own, in a session of its own. It is told over its standard input what the race
has made; when that input ends, because the race is over or because it was killed, it ends those
processes, and whatever else of this user names one of those folders on its command line (a node
that outlived its peer), removes the folders, and goes. It imports only the standard library and
`host.process_stat`.
(Network namespaces need no removal: they end with the processes inside.)

Lines it takes: `pid N START` (START: field 22 of /proc/N/stat, so that a reused pid is left alone),
`witness N START` of a process that would take the end of the others for theirs and write it down
(it is killed before them), and `dir PATH`.
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
        holds: file descriptors that stay open until it has cleaned up: locks, say.
    """

    def __init__(self, holds: Sequence[int] = ()) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM, str(Path(swarmrace.__file__).parents[1])],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=holds,
        )

    def watch_process(self, pid: int, *, witness: bool = False) -> None:
        """Have `pid` ended; a witness before all others, and at once."""
        self._tell(f"{'witness' if witness else 'pid'} {pid} {start_ticks(pid)}")

    def watch_folder(self, path: Path) -> None:
        """Have a folder removed."""
        self._tell(f"dir {path.absolute()}")

    def clean(self) -> None:
        """Clean now and return when all is gone."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
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
    """Return this user's processes that name one of the folders, or what lies in one."""
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
    """Read what there is to clean until the input ends, then clean it."""
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
