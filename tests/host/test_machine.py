from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import libtorrent
import psutil
import pytest

from paths import ROOT
from swarmrace import __version__, systems
from swarmrace.host import machine


def test_versions_are_those_in_use():
    found = machine.versions()
    assert found["swarmrace"] == __version__
    assert found["python"] == platform.python_version()
    assert set(found) >= {"httpx", "numpy", "kernel"}
    assert "libtorrent" not in found


def test_the_packages_of_the_racing_kinds_are_added():
    found = machine.versions(systems.packages(["bittorrent", "codex", "not-installed"]))
    assert libtorrent.__version__.startswith(found["libtorrent"])
    assert systems.packages(["http"]) == ()


def test_nothing_heavy_is_imported():
    code = (
        "import sys; from swarmrace.host import machine; machine.versions(); machine.machine();"
        "print([name for name in ('libtorrent', 'numpy', 'httpx', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_machine_is_described_as_json(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (3.25, 2.0, 1.0))
    found = machine.machine(tmp_path)
    assert json.loads(json.dumps(found)) == found
    assert found["cpus"] == len(os.sched_getaffinity(0))
    assert found["load_average_1_minute"] == 3.25
    assert found["memory_bytes"] == psutil.virtual_memory().total
    assert all(found[name] for name in ("cpu", "kernel", "architecture", "system"))


def test_the_file_system_agrees_with_stat(tmp_path):
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True
    ).stdout.strip()
    # stat has one name for the ext family
    assert machine.filesystem_of(tmp_path)[:3] == {"ext2/ext3": "ext"}.get(kind, kind)[:3]
    assert machine.filesystem_of(Path("/proc")) == "proc"
    assert "filesystem" not in machine.machine(tmp_path / "missing")


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_a_cpu_quota_is_reported_in_cores(tmp_path, monkeypatch, files, cores):
    monkeypatch.setattr(machine, "cgroup_folders", lambda _: [tmp_path])
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    assert machine.cpu_limit_cores() == cores


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "500000000"}, 500_000_000),
        ({"memory.max": "max"}, None),
        ({"memory.limit_in_bytes": "400000000"}, 400_000_000),
        ({"memory.limit_in_bytes": "9223372036854771712"}, None),
    ],
)
def test_a_memory_limit_below_the_machines_is_reported(tmp_path, monkeypatch, files, limit):
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.setattr(machine, "cgroup_folders", lambda _: [inner, tmp_path])
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    assert machine.memory_limit_bytes() == limit
    (inner / "memory.max").write_text("300000000\n")
    assert machine.memory_limit_bytes() == 300_000_000


def test_memory_in_use_excludes_reclaimable_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "cgroup_folders", lambda _: [tmp_path])
    assert machine.memory_used_bytes() == 0
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 600\ninactive_file 300\n")
    assert machine.memory_used_bytes() == 700


def test_a_pod_is_a_container(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert machine.in_container()


def test_a_checkout_knows_its_commit(monkeypatch):
    monkeypatch.delenv(machine.COMMIT_VARIABLE, raising=False)
    git = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    head = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    assert head in machine.commit() or "-g" in machine.commit()
    assert machine.commit() != "unknown"
