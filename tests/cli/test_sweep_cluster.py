"""`swarmrace sweep --on kubernetes`: interrupted in every step, and beside other drivers.

helm and kubectl are stand-ins (`small_cluster`); `make e2e-sweep-on-kubernetes` uses real ones.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from patience import PATIENCE_SECONDS
from small_cluster import SmallCluster
from swarmrace.backends.kubernetes import lease as leases
from swarmrace.backends.kubernetes.tools import Tools
from swarmrace.errors import Exit, SweepError
from swarmrace.sweep import state

MATRIX = {"swarmSize": [2], "seeders": [1], "fileSize": ["20kB", "40kB"]}
ENTRANTS = {"web": {"kind": "http"}, "bt": {"kind": "bittorrent"}}


class Sweep:
    """The command in a process of its own, with its cluster."""

    def __init__(self, folder: Path) -> None:
        self.cluster = SmallCluster(folder / "cluster")
        self.folder, self.file = folder / "sweep", folder / "pair.yaml"
        race = {"matrix": MATRIX, "repetitions": 1}
        self.file.write_text(yaml.safe_dump({"global": {"race": race, "entrants": ENTRANTS}}))

    def start(self, *options: str, **how) -> subprocess.Popen[str]:
        # A shell's background job, as these tests may be, ignores Ctrl-C.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "swarmrace", "sweep"]
        command += [str(self.file)]
        command += ["--on", "kubernetes", "--chart", "chart", "--folder", str(self.folder)]
        command += ["--fail-on", "incomplete"]
        return subprocess.Popen(
            [*command, *options],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **self.cluster.environment, "SWARMRACE_COMMIT": "of the test"},
            **how,
        )

    def run(self, *options: str, **how) -> tuple[int, str]:
        process = self.start(*options, **how)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, out + err

    def await_step(self, name: str, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while name not in self.cluster.log():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, f"no {name}: {self.cluster.log()}"
            time.sleep(0.02)

    def assert_complete(self) -> None:
        """Every cell counts once, nothing is left, and nothing was ever installed beside it."""
        found = state.read(self.folder)
        assert not found.missing
        assert not found.strays
        for cell in found.cells:
            (part,) = cell.parts
            assert [each.state for each in part.attempts].count("done") == 1
        assert list(self.folder.rglob(".*")) == [], "unfinished files"
        assert self.cluster.left() == []
        assert self.cluster.read()["faults"] == []


@pytest.fixture
def sweep(tmp_path):
    return Sweep(tmp_path)


def test_all_cells_are_raced_one_after_another(sweep):
    code, output = sweep.run()
    assert code == Exit.OK, output
    assert "2 of 2 cells done" in output
    sweep.assert_complete()
    assert sweep.cluster.log().count("install") == 2
    first, second = (cell.parts[0].counted.info for cell in state.read(sweep.folder).cells)
    assert set(first.trials) == set(ENTRANTS)
    assert second.trials == {}, "each program is tried once in a sweep"
    assert sweep.run()[0] == Exit.OK
    assert sweep.cluster.log().count("install") == 2, "nothing is left to race"


@pytest.mark.parametrize("step", ["install", "installed", "fetch", "uninstall"])
def test_a_driver_killed_in_any_step_is_followed_by_one_that_finishes(sweep, step):
    """`installed`: while it waits for the verdict."""
    sweep.cluster.pace(**({"race": 60.0} if step == "installed" else {step: 3.0}))
    if step == "uninstall":
        # Its first step is an uninstall too; kill it in the one after the race.
        sweep.cluster.pace(uninstall=0.5, race=0.5)
    process = sweep.start()
    sweep.await_step("fetch" if step == "uninstall" else step, process)
    if step == "uninstall":
        deadline = time.monotonic() + PATIENCE_SECONDS
        while sweep.cluster.log()[-1] != "uninstall" and time.monotonic() < deadline:
            time.sleep(0.02)
    process.kill()
    process.communicate()
    before = sweep.cluster.log().count("installed")
    sweep.cluster.pace()
    code, output = sweep.run()
    assert code == Exit.OK, output
    sweep.assert_complete()
    assert sweep.cluster.log().count("installed") <= before + 2


def test_ctrl_c_uninstalls_and_the_next_start_continues(sweep):
    sweep.cluster.pace(race=60.0)
    process = sweep.start()
    sweep.await_step("installed", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == Exit.INTERRUPTED, err
    assert sweep.cluster.left() == []
    sweep.cluster.pace()
    assert sweep.run()[0] == Exit.OK
    sweep.assert_complete()


def test_one_cell_leaves_its_last_pods_to_the_next_one(sweep):
    """As the steps of an Argo workflow race them: the pods end while the next step starts."""
    sweep.cluster.pace(ending=3.0)
    code, output = sweep.run("--cell", "2x1-20kB")
    assert code == Exit.OK, output
    assert sweep.cluster.read()["release"] is None
    code, output = sweep.run("--cell", "2x1-40kB")
    assert code == Exit.OK, output
    sweep.assert_complete()


def test_a_second_driver_waits_and_is_refused(sweep):
    sweep.cluster.set(lease=lease_of("other:/sweep", renewed="1"), version=1)
    stopped = threading.Event()

    def renew() -> None:
        count = 1
        while not stopped.wait(0.3):
            count += 1
            sweep.cluster.set(lease=lease_of("other:/sweep", renewed=str(count)))

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        refused = pytest.raises(SweepError, match="is held by other:/sweep, which renews it")
        with refused, held_here(sweep.cluster, patience=2.0):
            pass
    finally:
        stopped.set()
        thread.join()


def test_a_lease_that_is_no_longer_renewed_is_taken_over(sweep):
    sweep.cluster.set(lease=lease_of("dead:/sweep", seconds=1))
    code, output = sweep.run()
    assert code == Exit.OK, output
    assert "is held by dead:/sweep: waiting" in output
    sweep.assert_complete()


def test_a_driver_whose_lease_was_taken_over_touches_nothing_more(sweep, monkeypatch):
    """It was suspended, for example; the other driver's race goes on."""
    monkeypatch.setattr(leases, "_RENEW_SECONDS", 1000.0)
    with held_here(sweep.cluster) as raise_if_lost:
        raise_if_lost()
        other = lease_of("other:/sweep")
        sweep.cluster.set(lease=other)
        raise_if_lost()  # it was renewed just now, so nobody could have taken it over
        later = leases._now() + leases.DURATION_SECONDS + 1
        monkeypatch.setattr(leases, "_now", lambda: later)
        with pytest.raises(SweepError, match="was taken over by other:/sweep"):
            raise_if_lost()
    assert sweep.cluster.read()["lease"] == other


def test_a_full_disk_ends_the_sweep_with_its_reason(sweep):
    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))

    code, output = sweep.run(preexec_fn=no_room)
    assert code == Exit.INFRASTRUCTURE, output
    assert "sweep.json: can't be written: the limit on file sizes is reached" in output
    assert "Traceback" not in output
    code, output = sweep.run()
    assert code == Exit.OK, output
    sweep.assert_complete()


def lease_of(holder, *, renewed="2026-11-28T08:00:00.000000Z", seconds=60):
    return {
        "metadata": {"name": "sweep", "resourceVersion": "1"},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds,
            "renewTime": renewed,
        },
    }


@contextlib.contextmanager
def held_here(cluster, patience=10.0):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        tools = Tools(None, None, lambda line: None)
        lease = leases.Lease(tools, "sweep", "here:/sweep", lambda line: None)
        with lease.held(patience) as raise_if_lost:
            yield raise_if_lost
