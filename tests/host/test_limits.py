"""The limits of cgroups, in an imitated /sys/fs/cgroup of either version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swarmrace.host import limits
from swarmrace.recording.records import Limits

V1, V2 = "v1", "v2"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, list[Path]]:
    """The folders of each pid's cgroup, innermost first."""
    known: dict[int, list[Path]] = {}
    monkeypatch.setattr(limits, "cgroup_folders", lambda controller, pid: known.get(pid, []))
    return known


def cgroup(folder: Path, version: str, cores: float | None, memory: int | None) -> Path:
    folder.mkdir(parents=True)
    if version == V2:
        quota = "max" if cores is None else str(round(cores * 100_000))
        (folder / "cpu.max").write_text(f"{quota} 100000\n")
        (folder / "memory.max").write_text(f"{'max' if memory is None else memory}\n")
        return folder
    quota = "-1" if cores is None else str(round(cores * 100_000))
    (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    limit_bytes = 2**63 - 4096 if memory is None else memory
    (folder / "memory.limit_in_bytes").write_text(f"{limit_bytes}\n")
    return folder


@pytest.mark.parametrize("version", [V1, V2])
def test_limits_of_a_pods_containers_add_up(tmp_path: Path, folders, version: str) -> None:
    me, node, child = os.getpid(), os.getppid(), 1
    folders[me] = [cgroup(tmp_path / "runner", version, 0.5, 256)]
    folders[node] = folders[child] = [cgroup(tmp_path / "node", version, 1.5, 768)]
    found = limits.read([node, child])
    assert (found.cpu_cores, found.memory_bytes) == (2.0, 1024)
    assert found.cpus == len(os.sched_getaffinity(0) | os.sched_getaffinity(1))


@pytest.mark.parametrize("version", [V1, V2])
def test_one_container_without_a_limit_means_no_limit(
    tmp_path: Path, folders, version: str
) -> None:
    me, node = os.getpid(), os.getppid()
    folders[me] = [cgroup(tmp_path / "runner", version, 0.5, 256)]
    folders[node] = [cgroup(tmp_path / "node", version, None, 768)]
    found = limits.read([node])
    assert (found.cpu_cores, found.memory_bytes) == (None, 1024)


@pytest.mark.parametrize("version", [V1, V2])
def test_the_lowest_limit_of_the_cgroups_above_counts(
    tmp_path: Path, folders, version: str
) -> None:
    pod = cgroup(tmp_path / "pod", version, 1, 100)
    folders[os.getpid()] = [cgroup(pod / "runner", version, 2, 50), pod]
    found = limits.read()
    assert (found.cpu_cores, found.memory_bytes) == (1.0, 50)


def test_unreadable_limits_are_unknown(folders) -> None:
    assert limits.read() == Limits(cpus=len(os.sched_getaffinity(0)))
