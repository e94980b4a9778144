"""The server that peers are forked from, and what a terminal sends to all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

from swarmrace.backends.local import processes

_OF_A_TERMINAL = {signal.SIGINT, signal.SIGHUP}


def _signals(status: str, field: str) -> set[int]:
    (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
    mask = int(line.split()[1], 16)
    return {number for number in _OF_A_TERMINAL if mask & 1 << (number - 1)}


def _report(path: str) -> int:
    Path(path).write_text(Path("/proc/self/status").read_text())
    return 7


def test_neither_the_server_nor_a_peer_heeds_ctrl_c_from_their_first_moment(tmp_path):
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    fork = processes.context()
    server = Path(f"/proc/{forkserver._forkserver._forkserver_pid}/status").read_text()
    assert _signals(server, "SigBlk") == _OF_A_TERMINAL
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask, "the parent heeds it as before"
    report = tmp_path / "status"
    child = processes.start(fork, "child", tmp_path / "log", None, _report, str(report))
    child.join()
    assert child.exitcode == 7
    # What a peer starts gets its masks, and a node's program may well be ended by SIGINT.
    assert _signals(report.read_text(), "SigBlk") == set()
    assert _signals(report.read_text(), "SigIgn") == _OF_A_TERMINAL


def test_kill_9_leaves_no_folder_of_multiprocessing():
    race = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time\n"
            "from multiprocessing import util\n"
            "from swarmrace.backends.local import processes\n"
            "processes.context()\n"
            "print(util.get_temp_dir(), flush=True)\n"
            "time.sleep(100)\n",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = Path(race.stdout.readline().strip())
    assert folder.name.startswith("pymp-")
    assert folder.is_dir()
    os.kill(race.pid, signal.SIGKILL)
    race.wait()
    race.stdout.close()
    deadline = time.monotonic() + 60
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not folder.exists()
