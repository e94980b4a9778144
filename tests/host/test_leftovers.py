from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from swarmrace.host import leftovers

_WAITS = "import sys; sys.stdout.write('.'); sys.stdout.flush(); sys.stdin.read()"


@pytest.fixture
def ended_pid() -> int:
    """Return the pid of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_the_folder_of_a_killed_race_is_found_and_removed(tmp_path, ended_pid):
    folder = tmp_path / f"swarmrace-{ended_pid}-k3_x"
    (folder / "peer" / "deep").mkdir(parents=True)
    (folder / "peer" / "payload").write_bytes(os.urandom(100_000))
    (left,) = leftovers.find(tmp_path)
    assert left.folder == folder
    assert left.size_bytes >= 100_000
    assert str(folder) in left.describe()
    assert leftovers.remove(left)
    assert list(tmp_path.iterdir()) == []
    assert leftovers.find(tmp_path) == []


def test_a_running_race_keeps_its_folder(tmp_path):
    (tmp_path / f"swarmrace-{os.getpid()}-abc").mkdir()
    assert leftovers.find(tmp_path) == []


def test_a_younger_process_with_the_same_pid_keeps_no_folder(tmp_path):
    folder = tmp_path / f"swarmrace-{os.getpid()}-abc"
    folder.mkdir()
    born = psutil.Process().create_time()
    os.utime(folder, (born - 100, born - 100))
    assert [left.folder for left in leftovers.find(tmp_path)] == [folder]


def test_other_folders_are_left_alone(tmp_path, ended_pid):
    (tmp_path / f"swarmrace-{ended_pid}").mkdir()
    (tmp_path / "swarmrace-results").mkdir()
    (tmp_path / f"xswarmrace-{ended_pid}-a").mkdir()
    (tmp_path / f"swarmrace-{ended_pid}-file").write_text("")
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / f"swarmrace-{ended_pid}-link").symlink_to(target)
    assert leftovers.find(tmp_path) == []


def test_a_node_that_still_uses_the_folder_is_ended(tmp_path, ended_pid):
    folder = tmp_path / f"swarmrace-{ended_pid}-abc"
    folder.mkdir()
    near = tmp_path / f"swarmrace-{ended_pid}-abcd"
    command = [sys.executable, "-c", _WAITS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    node = subprocess.Popen([*command, f"--data-dir={folder}/node"], **pipes)
    other = subprocess.Popen([*command, f"--data-dir={near}/node"], **pipes)
    with node, other:
        for process in (node, other):
            assert process.stdout.read(1) == b"."
        (left,) = leftovers.find(tmp_path)
        assert [process.pid for process in left.processes] == [node.pid]
        assert f"process {node.pid}" in left.describe()
        assert leftovers.remove(left)
        assert not psutil.pid_exists(node.pid)
        assert other.poll() is None
        other.kill()
