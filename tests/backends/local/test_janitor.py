"""The janitor removes everything, however the race it watched has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from patience import PATIENCE_SECONDS, wait_for
from swarmrace.backends.local.janitor import Janitor
from swarmrace.host.process_stat import start_ticks


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "3600"])
    yield process
    process.kill()
    process.wait()


def test_it_ends_processes_and_removes_folders(tmp_path, sleeper):
    folder = tmp_path / "work"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    janitor = Janitor()
    janitor.watch_process(sleeper.pid)
    janitor.watch_folder(folder)
    janitor.clean()
    assert sleeper.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    assert not folder.exists()


def test_a_reused_pid_is_left_alone(sleeper):
    janitor = Janitor()
    janitor._send(f"pid {sleeper.pid} 1")
    janitor.clean()
    assert sleeper.poll() is None


def test_it_ends_only_processes_that_name_its_folder(tmp_path):
    """A node behind a wrapper outlives its peer, and the janitor wasn't given its pid."""
    folder, other = tmp_path / "work", tmp_path / "work-of-another"
    folder.mkdir()
    code = "import time; print(flush=True); time.sleep(3600)"
    node, neighbour = (
        subprocess.Popen(
            [sys.executable, "-c", code, f"--data-dir={where}/data"], stdout=subprocess.PIPE
        )
        for where in (folder, other)
    )
    try:
        for process in (node, neighbour):
            process.stdout.readline()
        janitor = Janitor()
        janitor.watch_folder(folder)
        janitor.clean()
        assert node.wait(PATIENCE_SECONDS) == -signal.SIGTERM
        assert neighbour.poll() is None
        assert not folder.exists()
    finally:
        for process in (node, neighbour):
            process.kill()
            process.wait()
            process.stdout.close()


def test_a_process_that_has_ended_is_no_error(tmp_path):
    done = subprocess.Popen(["true"])
    done.wait()
    assert start_ticks(done.pid) is None
    janitor = Janitor()
    janitor.watch_process(done.pid)
    janitor.clean()


def test_it_cleans_up_after_its_race_was_killed(tmp_path, sleeper):
    folder = tmp_path / "work"
    folder.mkdir()
    race = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, pathlib\n"
            "from swarmrace.backends.local.janitor import Janitor\n"
            "janitor = Janitor()\n"
            f"janitor.watch_process({sleeper.pid})\n"
            f"janitor.watch_folder(pathlib.Path({str(folder)!r}))\n"
            "print('ready', flush=True)\n"
            "time.sleep(3600)\n",
        ],
        stdout=subprocess.PIPE,
    )
    assert race.stdout.readline() == b"ready\n"
    os.kill(race.pid, signal.SIGKILL)
    race.wait()
    race.stdout.close()
    assert sleeper.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    wait_for(lambda: not folder.exists(), "the end of its folder")
