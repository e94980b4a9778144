"""The kernel kills for real, in a cgroup of the test's own."""

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
    """Return the pid of a process that has asked for more than its cgroup may hold."""
    process = subprocess.Popen([sys.executable, "-c", HUNGRY], stdin=subprocess.PIPE)
    move(process.pid, folder)
    process.communicate(b"\n")
    assert process.returncode == -signal.SIGKILL
    return process.pid


def shot() -> int:
    """Return the pid of a process that somebody has killed."""
    process = subprocess.Popen(["sleep", "100"])
    process.kill()
    process.wait()
    return process.pid


def test_the_log_names_who_was_killed_and_what_it_held():
    kills = MemoryKills()
    if kills._log is None:
        pytest.skip("the kernel's log can't be read here")
    with memory_cgroup(40_000_000) as folder:
        pid = killed(folder)
    found = kills.of([pid])
    assert 20_000_000 < found.used_bytes < 60_000_000
    assert "out of memory: the kernel killed it" in str(found)
    assert kills.of([shot()]) is None, "not everybody who dies then was killed for it"
    kills.close()


@pytest.mark.parametrize("counter", ["cgroup", "machine"])
def test_counters_tell_where_the_log_can_not_be_read(monkeypatch, counter):
    """In a container: it may read its own cgroup's counter, and the machine's."""
    monkeypatch.setattr(memory_kills, "_open_log", lambda: None)
    with memory_cgroup(40_000_000) as folder:
        seen = [folder] if counter == "cgroup" else []
        monkeypatch.setattr(memory_kills, "cgroup_folders", lambda _: seen)
        kills = MemoryKills()
        assert kills.of([shot()]) is None
        pid = killed(folder)
        found = kills.of([pid])
        assert found.used_bytes is None
        if counter == "cgroup":
            assert found.limit_bytes == pytest.approx(40_000_000, abs=4096)
        assert kills.of([os.getpid()]) is None, "one kill is taken once"


def test_a_kill_of_another_container_is_not_ones_own(monkeypatch, tmp_path):
    (tmp_path / "memory.events").write_text("low 0\noom 0\noom_kill 0\n")
    monkeypatch.setattr(memory_kills, "_open_log", lambda: None)
    monkeypatch.setattr(memory_kills, "cgroup_folders", lambda _: [tmp_path])
    kills = MemoryKills()
    with memory_cgroup(40_000_000) as folder:
        assert kills.of([killed(folder)]) is None


def test_what_is_said():
    assert str(Kill()) == "out of memory: the kernel killed it when the memory was used up"
    assert str(Kill(61e6, 64e6)) == (
        "out of memory: the kernel killed it when the memory of its cgroup, 64 MB, was used up; "
        "it held 61 MB"
    )
    assert "out of memory" not in KILLED_FROM_OUTSIDE
