from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from swarmrace.host import leftovers

_WAITS = "import sys; sys.stdout.write('.'); sys.stdout.flush(); sys.stdin.read()"


@pytest.fixture
def gone() -> int:
    """Return the pid of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_the_folder_of_a_race_that_is_gone_is_found_and_removed(tmp_path, gone):
    folder = tmp_path / f"swarmrace-{gone}-k3_x"
    (folder / "peer" / "deep").mkdir(parents=True)
    (folder / "peer" / "payload").write_bytes(os.urandom(100_000))
    (left,) = leftovers.find(tmp_path)
    assert left.folder == folder
    assert left.size_bytes >= 100_000
    assert str(folder) in left.describe()
    assert leftovers.remove(left)
    assert list(tmp_path.iterdir()) == []
    assert leftovers.find(tmp_path) == []


def test_a_race_that_runs_keeps_its_folder(tmp_path):
    (tmp_path / f"swarmrace-{os.getpid()}-abc").mkdir()
    assert leftovers.find(tmp_path) == []


def test_a_younger_process_with_the_same_number_keeps_nothing(tmp_path):
    folder = tmp_path / f"swarmrace-{os.getpid()}-abc"
    folder.mkdir()
    born = psutil.Process().create_time()
    os.utime(folder, (born - 100, born - 100))
    assert [left.folder for left in leftovers.find(tmp_path)] == [folder]


def test_what_is_not_a_races_folder_is_left_alone(tmp_path, gone):
    (tmp_path / f"swarmrace-{gone}").mkdir()
    (tmp_path / "swarmrace-results").mkdir()
    (tmp_path / f"xswarmrace-{gone}-a").mkdir()
    (tmp_path / f"swarmrace-{gone}-file").write_text("")
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / f"swarmrace-{gone}-link").symlink_to(target)
    assert leftovers.find(tmp_path) == []


def test_a_node_that_still_runs_on_it_is_ended(tmp_path, gone):
    folder = tmp_path / f"swarmrace-{gone}-abc"
    folder.mkdir()
    near = tmp_path / f"swarmrace-{gone}-abcd"
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
