"""The server from which peers are forked, and the signals that a terminal sends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

import late_imports
from patience import wait_for
from swarmrace.backends.local import processes
from swarmrace.backends.local.backend import LocalRace, run
from swarmrace.scenario.loading import parse

_OF_A_TERMINAL = {signal.SIGINT, signal.SIGHUP}


def _signals(status: str, field: str) -> set[int]:
    (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
    mask = int(line.split()[1], 16)
    return {number for number in _OF_A_TERMINAL if mask & 1 << (number - 1)}


def _report(path: str) -> int:
    Path(path).write_text(Path("/proc/self/status").read_text())
    return 7


def test_server_and_peers_ignore_ctrl_c_from_their_first_moment(tmp_path):
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    fork = processes.context()
    server = Path(f"/proc/{forkserver._forkserver._forkserver_pid}/status").read_text()
    assert _signals(server, "SigBlk") == _OF_A_TERMINAL
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask, "the parent handles it as before"
    report = tmp_path / "status"
    child = processes.start(fork, "child", tmp_path / "log", None, _report, str(report))
    child.join()
    assert child.exitcode == 7
    # A peer's children inherit its mask, and a node's program may be ended by SIGINT.
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
            "time.sleep(3600)\n",
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
    wait_for(lambda: not folder.exists(), "the end of its folder")


def test_a_peer_does_not_import_the_program_that_started_it(tmp_path):
    """The program `swarmrace` imports the whole command line; its peers need none of that."""
    program, imported = tmp_path / "program", tmp_path / "imported"
    program.write_text(
        "import sys, os\n"
        "from pathlib import Path\n"
        f"with Path({str(imported)!r}).open('a') as file: file.write('once ')\n"
        "from swarmrace.backends.local import processes\n"
        "if __name__ == '__main__':\n"
        "    fork = processes.context()\n"
        f"    log = Path({str(tmp_path / 'log')!r})\n"
        "    child = processes.start(fork, 'child', log, None, os.getpid)\n"
        "    child.join()\n"
        "    assert child.exitcode is not None\n"
        "    assert sys.modules['__main__'].__spec__ is None\n"
    )
    subprocess.run([sys.executable, program], check=True)
    assert imported.read_text() == "once "


def test_peers_and_the_rendezvous_import_nothing_after_the_fork(tmp_path, monkeypatch):
    """What one imports late, each of them imports late, in every race."""
    monkeypatch.setattr(processes, "run_peer", late_imports.run_peer)
    monkeypatch.setattr(processes, "run_tracker", late_imports.run_tracker)
    race = {"swarmSize": 2, "seeders": 1, "fileSize": "1MB", "repetitions": 1}
    entrants = {
        "bittorrent": {"kind": "bittorrent", "profile": "tuned"},
        "http": {"kind": "http", "profile": "stock"},
        "made": {"kind": "synthetic", "curve": [[0, 0], [1, 1]]},
    }
    scenario = parse({"global": {"race": race, "entrants": entrants}})
    (tmp_path / "results").mkdir()
    local = LocalRace(scenario, "late", tmp_path / "results", tmp_path)
    asyncio.run(run(local, local.folder(), lambda status: None))
    found = {path.name.rpartition("-")[0]: path.read_text() for path in tmp_path.glob("*-*[0-9]")}
    assert found == dict.fromkeys(("bittorrent", "http", "made", "rendezvous"), "")
    (head,) = (tmp_path / "results").glob("*/race.json")
    described = [peer["machine"] for peer in json.loads(head.read_text())["peers"]]
    assert described == [described[0]] * 6, "the machine is described once, before its peers start"
