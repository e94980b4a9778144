"""The janitor leaves nothing, whatever happened to the race it watched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from swarmrace.local.janitor import Janitor, start_time


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_ends_processes_and_removes_folders(tmp_path, sleeper):
    folder = tmp_path / "work"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    janitor = Janitor()
    janitor.watch_process(sleeper.pid)
    janitor.watch_folder(folder)
    janitor.clean()
    assert sleeper.wait(5) == -signal.SIGTERM
    assert not folder.exists()


def test_a_reused_pid_is_left_alone(sleeper):
    janitor = Janitor()
    janitor._tell(f"pid {sleeper.pid} 1")
    janitor.clean()
    assert sleeper.poll() is None


def test_a_process_that_is_gone_already_is_no_error(tmp_path):
    done = subprocess.Popen(["true"])
    done.wait()
    assert start_time(done.pid) is None
    janitor = Janitor()
    janitor.watch_process(done.pid)
    janitor.clean()


def test_cleans_after_its_race_was_killed(tmp_path, sleeper):
    folder = tmp_path / "work"
    folder.mkdir()
    race = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, pathlib\n"
            "from swarmrace.local.janitor import Janitor\n"
            "janitor = Janitor()\n"
            f"janitor.watch_process({sleeper.pid})\n"
            f"janitor.watch_folder(pathlib.Path({str(folder)!r}))\n"
            "print('ready', flush=True)\n"
            "time.sleep(60)\n",
        ],
        stdout=subprocess.PIPE,
    )
    assert race.stdout.readline() == b"ready\n"
    os.kill(race.pid, signal.SIGKILL)
    race.wait()
    race.stdout.close()
    assert sleeper.wait(20) == -signal.SIGTERM
    deadline = time.monotonic() + 20
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not folder.exists()
