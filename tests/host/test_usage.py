from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from swarmrace.host import usage
from swarmrace.host.usage import UsageMeter

_BURNS = """
import os, sys, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
"""


def child(code: str, *before: str) -> subprocess.Popen:
    """Start a Python process that waits for a line, runs `code`, prints "done", then waits.

    `before` is a command that executes the process.
    """
    program = f"{_BURNS}\nsys.stdin.readline()\n{code}\nprint('done', flush=True)\nsys.stdin.read()"
    return subprocess.Popen(
        [*before, sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def send_line(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def work(process: subprocess.Popen) -> None:
    send_line(process)
    assert process.stdout.readline() == "done\n"


def burn(seconds: float) -> None:
    before = sum(os.times()[:2])
    while sum(os.times()[:2]) - before < seconds:
        pass


def cpu_clock(pid: int) -> float:
    """Return a process's CPU seconds by the kernel's CPU clock, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)


def test_only_what_is_used_between_start_and_stop_counts():
    """The result is between the CPU clock's differences just inside and just outside the span."""
    pid = os.getpid()
    for seconds in (0.15, 0.0):
        burn(0.2)
        meter = UsageMeter(lambda: [pid])
        around = cpu_clock(pid)
        meter.start()
        inside = cpu_clock(pid)
        burn(seconds)
        inside = cpu_clock(pid) - inside
        used = meter.stop()
        around = cpu_clock(pid) - around
        assert inside <= used.cpu_seconds <= around
        assert used.runner_cpu_seconds is None


def test_a_separate_process_counts_without_the_runner():
    with child("burn(0.2)") as process:
        meter = UsageMeter(lambda: [process.pid])
        meter.start()
        work(process)
        burn(0.1)
        used = meter.stop()
        process.stdin.close()
    assert used.cpu_seconds >= 0.18
    assert used.runner_cpu_seconds >= 0.09


def test_children_count_while_they_run_and_after_they_have_ended():
    code = "for _ in range(2):\n  if os.fork() == 0:\n    burn(0.15)\n    os._exit(0)\n  os.wait()"
    with child(code) as process:
        meter = UsageMeter(lambda: [process.pid])
        meter.start()
        work(process)
        used = meter.stop()
        process.stdin.close()
    assert used.cpu_seconds >= 0.28
    forks = (
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "  burn(0.2)\n  print('done', flush=True)\n  sys.stdin.read()\n  os._exit(0)\n"
        "os.waitpid(pid, 0)"
    )
    with child(forks) as process:
        meter = UsageMeter(lambda: [process.pid])
        meter.start()
        work(process)
        used = meter.stop()
        process.stdin.close()
    assert used.cpu_seconds >= 0.18


def test_a_dead_process_keeps_its_last_sample():
    with child("burn(0.2)") as process:
        meter = UsageMeter(lambda: [process.pid])
        meter.start()
        work(process)
        meter._sample()
        process.kill()
        process.wait()
        used = meter.stop()
    assert used.cpu_seconds >= 0.18
    assert used.peak_memory_bytes > 1_000_000


def test_a_process_that_dies_during_a_sample_is_no_error(monkeypatch):
    """It dies between two system calls of a sample; on Python 3.11 listing its threads raises."""
    is_dir = Path.is_dir
    with child("") as process:
        tasks = f"/proc/{process.pid}/task"

        def dying(path):
            found = is_dir(path)
            if str(path) == tasks:
                process.kill()
                process.wait()
            return found

        monkeypatch.setattr(Path, "is_dir", dying)
        assert usage._family(process.pid) == [process.pid]


def test_children_that_keep_dying_do_not_end_the_measurement():
    code = "while True:\n  if os.fork() == 0: os._exit(0)\n  os.wait()"
    with child(code) as process:
        send_line(process)
        try:
            for _ in range(3000):
                assert usage._family(process.pid)[0] == process.pid
        finally:
            process.kill()


def test_a_closed_meter_stops_sampling():
    looks = []
    meter = UsageMeter(lambda: looks.append(1) or [])
    meter.close()
    meter.start()
    assert looks == [1]
    assert not _watching(), "at the start nothing may wait for a new thread's first turn"
    meter.watch()
    meter.close()
    meter.close()
    assert not _watching()
    assert len(looks) <= 2
    assert meter.stop().cpu_seconds == 0


def _watching() -> bool:
    return "swarmrace-usage" in {thread.name for thread in threading.enumerate()}


def test_watch_samples_at_once():
    looked = threading.Event()
    meter = UsageMeter(list)
    meter.start()
    meter._pids = lambda: looked.set() or []
    meter.watch()
    try:
        assert looked.wait(300)
    finally:
        meter.close()


def test_a_process_that_began_during_the_run_counts_from_its_start():
    pids: list[int] = []
    meter = UsageMeter(lambda: pids)
    meter.start()
    with child("burn(0.2)") as process:
        pids.append(process.pid)
        work(process)
        used = meter.stop()
        process.stdin.close()
    assert used.cpu_seconds >= 0.18


@pytest.mark.parametrize("resettable", [True, False])
def test_the_peak_is_that_of_the_run(resettable, monkeypatch):
    if not resettable:
        monkeypatch.setattr(usage, "_reset_peak", lambda pid: False)
    code = "b = bytearray(os.urandom(1)) * {}\ndel b"
    big, small = code.format(120_000_000), code.format(30_000_000)
    with child(f"{big}\nprint('done', flush=True)\nsys.stdin.readline()\n{small}") as process:
        work(process)
        meter = UsageMeter(lambda: [process.pid])
        meter.start()
        work(process)
        used = meter.stop()
        process.stdin.close()
    # The 120 MB from before the run don't count.
    assert used.peak_memory_bytes < 100_000_000
    if resettable and usage._reset_peak(os.getpid()):
        assert used.peak_memory_bytes > 30_000_000


def test_a_peak_between_two_samples_is_seen_without_a_reset(monkeypatch):
    monkeypatch.setattr(usage, "_reset_peak", lambda pid: False)
    with child("b = bytearray(b'x') * 150_000_000\ndel b") as process:
        meter = UsageMeter(lambda: [process.pid])
        meter.start()
        work(process)
        used = meter.stop()
        process.stdin.close()
    assert used.peak_memory_bytes > 150_000_000


@pytest.mark.parametrize("also_own", [False, True])
def test_a_child_of_the_runner_counts_once_and_not_as_the_runner(also_own):
    with child("b = bytearray(b'x') * 150_000_000\nburn(0.5)") as process:
        meter = UsageMeter(lambda: [*([os.getpid()] if also_own else []), process.pid])
        before, own = cpu_clock(process.pid), cpu_clock(os.getpid())
        meter.start()
        work(process)
        used = meter.stop()
        program, own = cpu_clock(process.pid) - before, cpu_clock(os.getpid()) - own
        process.stdin.close()
    if also_own:
        assert 0.5 <= used.cpu_seconds <= program + own
        assert (used.runner_cpu_seconds, used.runner_peak_memory_bytes) == (None, None)
        return
    assert 0.5 <= used.cpu_seconds <= program
    assert used.runner_cpu_seconds <= own
    own = usage._memory(os.getpid())[1]
    assert own / 2 < used.runner_peak_memory_bytes < own + 100_000_000


def test_without_processes_there_is_no_usage():
    meter = UsageMeter(list)
    meter.start()
    used = meter.stop()
    assert (used.cpu_seconds, used.peak_memory_bytes) == (0, 0)


def test_so_far_can_be_called_during_the_run():
    meter = UsageMeter(lambda: [os.getpid()])
    meter.start()
    burn(0.1)
    meter._sample()
    assert meter.so_far().cpu_seconds >= 0.08
    assert meter.stop().cpu_seconds >= meter.so_far().cpu_seconds - 0.01


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """Imitate /proc of a process; `{root}` is replaced by a folder of the test."""
    read, answers = Path.read_text, {}

    def read_or_answer(path, *args, **kwargs):
        answer = answers.get(str(path))
        return read(path, *args, **kwargs) if answer is None else answer

    def pretend(groups: str, mounts: str, process: object = "self") -> Path:
        mounts = mounts.format(root=tmp_path)
        answers.update({f"/proc/{process}/cgroup": groups, f"/proc/{process}/mountinfo": mounts})
        return tmp_path

    monkeypatch.setattr(Path, "read_text", read_or_answer)
    return pretend


def throttled():
    return usage.throttled_seconds(usage.cgroup_folders("cpu"))


def test_throttling_in_version_2_is_that_of_the_cgroup_or_one_above(cgroups):
    root = cgroups("0::/pod/runner\n", "30 1 0:2 / {root} rw - cgroup2 cgroup2 rw\n")
    (root / "pod" / "runner").mkdir(parents=True)
    (root / "pod" / "runner" / "cpu.stat").write_text("usage_usec 5\nthrottled_usec 1500000\n")
    assert throttled() == 1.5
    (root / "pod" / "cpu.stat").write_text("throttled_usec 2500000\n")
    assert throttled() == 2.5


def test_throttling_of_version_1_in_a_container(cgroups):
    # The container sees the host's path, and a mount whose root is its own cgroup.
    root = cgroups(
        "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n",
        "31 1 0:3 /docker/abc {root} rw - cgroup cgroup rw,cpu,cpuacct\n",
    )
    (root / "cpu.stat").write_text("nr_throttled 3\nthrottled_time 250000000\n")
    assert throttled() == 0.25
    assert usage.cgroup_folders("cpu") == [root]
    assert usage.cgroup_folders("memory") == []


@pytest.mark.parametrize("text", ["", "garbage", "throttled_usec\n"])
def test_without_a_figure_throttling_is_0(cgroups, text):
    root = cgroups("0::/\n", "30 1 0:2 / {root} rw - cgroup2 cgroup2 rw\n")
    (root / "cpu.stat").write_text(text)
    assert throttled() == 0.0


V2 = {
    # What a container reads about itself and its neighbour, relative to its own namespace.
    "own": ("0::/\n", "30 1 0:2 / {root}/runner rw - cgroup2 cgroup rw\n"),
    "other": ("0::/../node\n", "40 2 0:2 /../node {root}/runner rw - cgroup2 cgroup rw\n"),
    "stat": "usage_usec 7\nthrottled_usec {0}000000\n",
}
V1 = {
    "own": (
        "2:cpu,cpuacct:/pod/runner\n",
        "30 1 0:2 /pod/runner {root}/runner rw - cgroup cgroup rw,cpu,cpuacct\n",
    ),
    "other": (
        "2:cpu,cpuacct:/pod/node\n",
        "40 2 0:2 /pod/node {root}/runner rw - cgroup cgroup rw,cpu,cpuacct\n",
    ),
    "stat": "nr_throttled 7\nthrottled_time {0}000000000\n",
}


@pytest.mark.parametrize("version", [V2, V1], ids=["v2", "v1"])
def test_a_node_in_another_container_has_its_own_throttling(cgroups, version):
    """A Codex node has its own cgroup and limit, at the same path as the runner's."""
    root = cgroups(*version["own"])
    for name, seconds in (("runner", 3), ("node", 40)):
        (root / name).mkdir()
        (root / name / "cpu.stat").write_text(version["stat"].format(seconds))
    mount = f'mount --bind {root}/node {root}/runner && exec "$@"'
    container = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if subprocess.run([*container, "true"], capture_output=True).returncode:
        pytest.skip("expected mount namespaces, found none permitted")
    with child("", *container) as node, child("", *container) as beside:
        for process in (node, beside):
            cgroups(*version["other"], process=process.pid)
            work(process)  # returns once the process has mounted it
        meter = UsageMeter(lambda: [node.pid, beside.pid])
        meter.start()
        assert meter.stop().throttled_seconds == 0, "what came before the run doesn't count"
        meter.start()
        (root / "node" / "cpu.stat").write_text(version["stat"].format(45))
        assert meter.stop().throttled_seconds == 5, "two processes of one container are one cgroup"
        (root / "runner" / "cpu.stat").write_text(version["stat"].format(4))
        node.kill()
        node.wait()
        assert meter.stop().throttled_seconds == 6, "the runner's own counts too"
        beside.stdin.close()
