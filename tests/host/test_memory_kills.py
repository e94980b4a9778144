"""Real kills by the kernel, in a cgroup that the test creates."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from memory_cgroups import memory_cgroup, move
from swarmrace.host import memory_kills
from swarmrace.host.memory_kills import KILLED_FROM_OUTSIDE, Kill, MemoryKills

HUNGRY = (
    "import sys; sys.stdin.readline(); held = []\nwhile True: held.append(bytearray(2_000_000))"
)


def killed(folder) -> int:
    """Return the pid of a process that was killed for memory in its cgroup."""
    process = subprocess.Popen([sys.executable, "-c", HUNGRY], stdin=subprocess.PIPE)
    move(process.pid, folder)
    process.communicate(b"\n")
    assert process.returncode == -signal.SIGKILL
    return process.pid


def shot() -> int:
    """Return the pid of a process that was killed by a signal from this test."""
    process = subprocess.Popen(["sleep", "100"])
    process.kill()
    process.wait()
    return process.pid


def test_the_log_names_the_killed_process_and_what_it_held():
    kills = MemoryKills()
    if kills._log is None:
        pytest.skip("the kernel's log can't be read here")
    with memory_cgroup(40_000_000) as folder:
        pid = killed(folder)
    found = kills.find([pid])
    assert 20_000_000 < found.used_bytes < 60_000_000
    assert "out of memory: the kernel killed it" in str(found)
    assert kills.find([shot()]) is None, "this process wasn't killed for memory"
    kills.close()


@pytest.mark.parametrize("counter", ["cgroup", "machine"])
def test_counters_are_used_if_the_log_can_not_be_read(monkeypatch, counter):
    """As in a container, which can read its own cgroup's counter and the machine's."""
    monkeypatch.setattr(memory_kills, "_open_log", lambda: None)
    with memory_cgroup(40_000_000) as folder:
        seen = [folder] if counter == "cgroup" else []
        monkeypatch.setattr(memory_kills, "cgroup_folders", lambda _: seen)
        kills = MemoryKills()
        assert kills.find([shot()]) is None
        pid = killed(folder)
        found = kills.find([pid])
        assert found.used_bytes is None
        if counter == "cgroup":
            assert found.limit_bytes == pytest.approx(40_000_000, abs=4096)
        assert kills.find([os.getpid()]) is None, "each kill is returned once"


def test_a_kill_in_another_container_does_not_count(monkeypatch, tmp_path):
    (tmp_path / "memory.events").write_text("low 0\noom 0\noom_kill 0\n")
    monkeypatch.setattr(memory_kills, "_open_log", lambda: None)
    monkeypatch.setattr(memory_kills, "cgroup_folders", lambda _: [tmp_path])
    kills = MemoryKills()
    with memory_cgroup(40_000_000) as folder:
        assert kills.find([killed(folder)]) is None


def test_descriptions_of_a_kill():
    assert str(Kill()) == "out of memory: the kernel killed it when the memory was used up"
    assert str(Kill(61e6, 64e6)) == (
        "out of memory: the kernel killed it when the memory of its cgroup, 64 MB, was used up; "
        "it held 61 MB"
    )
    assert "out of memory" not in KILLED_FROM_OUTSIDE
