"""One driver for each sweep, and no stale lock after it was killed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from swarmrace.errors import SweepError
from swarmrace.sweep import lock


def test_a_second_driver_is_refused_and_the_first_is_named(tmp_path):
    with lock.held(tmp_path, "local", tmp_path) as (held, before):
        assert before is None
        held.note("8x2-1MB", 3)
        found = lock.current_driver(tmp_path)
        assert (found.pid, found.driver) == (os.getpid(), "local")
        assert (found.cell, found.attempt) == ("8x2-1MB", 3)
        with (
            pytest.raises(SweepError, match=f"is driven by process {os.getpid()} on "),
            lock.held(tmp_path, "kubernetes", tmp_path, patience_seconds=0),
        ):
            pass
        held.note()
        assert lock.current_driver(tmp_path).cell == ""
    assert lock.current_driver(tmp_path) is None
    with lock.held(tmp_path, "local", tmp_path, patience_seconds=0) as (_, before):
        assert (before.pid, before.work_dir) == (os.getpid(), str(tmp_path))


def test_a_folder_that_was_never_locked_has_no_driver(tmp_path):
    assert lock.current_driver(tmp_path) is None


def test_a_killed_drivers_lock_is_released_when_its_heir_ends(tmp_path):
    """The heir represents a race's janitor, which outlives the driver."""
    code = (
        "import subprocess, sys, os\n"
        "from pathlib import Path\n"
        "from swarmrace.sweep import lock\n"
        "with lock.held(Path(sys.argv[1]), 'local', Path('/')) as (held, _):\n"
        "    held.note('cell', 1)\n"
        "    heir = subprocess.Popen(['cat'], stdin=0, pass_fds=[held.fd])\n"
        "    print(heir.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert driver.stdout.readline()
    assert driver.wait() == -9
    assert lock.current_driver(tmp_path).pid == driver.pid
    with (
        pytest.raises(SweepError),
        lock.held(tmp_path, "local", tmp_path, patience_seconds=0.2),
    ):
        pass
    driver.stdin.close()  # the heir ends
    with lock.held(tmp_path, "local", tmp_path) as (_, before):
        assert before.pid == driver.pid
    driver.stdout.close()
