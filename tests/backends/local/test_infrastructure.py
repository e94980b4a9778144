"""Trouble with the machine is reported at once, and stops a race that can't go on (code 11)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clock_shim import steppable_clock
from memory_cgroups import limit, memory_cgroup, move
from racing import Race, race, scenario_file, wait_for
from small_disks import kept_full, needs_root, small_disk
from swarmrace.errors import Exit

HTTP = {"h": {"kind": "http"}, "i": {"kind": "http"}}
pytestmark = needs_root


def head(folder: Path) -> dict:
    return json.loads((folder / "race.json").read_text())


def closed(running: Race) -> list[dict]:
    found = running.folder.glob("runs/*/run.json")
    return [json.loads(path.read_text()) for path in sorted(found)]


def test_a_work_disk_that_other_programs_fill_stops_the_race(tmp_path):
    """Otherwise the transfers of both entrants would fail, and none is slower."""
    scenario = scenario_file(tmp_path, HTTP, fileSize="5MB", repetitions=60)
    with (
        small_disk(tmp_path / "disk", "size=150m") as disk,
        race(tmp_path, scenario, work=disk) as running,
    ):
        wait_for(lambda: closed(running), "the first run")
        with kept_full(disk):
            assert running.end() == Exit.INFRASTRUCTURE
        output, found = running.output(), closed(running)
        assert found[0]["failure"] is None
        reasons = [run["failure"] and run["failure"]["reason"] for run in found]
        first_missing = reasons.index("infrastructure")
        assert set(reasons[:first_missing]) <= {None}, "no run before the disk was full is lost"
        assert set(reasons[first_missing:]) == {"infrastructure"}
        assert len(found) == 120, "runs that were not raced are recorded as such"
        opened = sum(run["openedUtc"] != "" for run in found)
        assert opened == first_missing + 2, "stopped after two"
        assert head(running.folder)["status"] == "stopped"
        assert "other programs filled it" in head(running.folder)["stoppedBy"]
        assert "swarmrace: the race was stopped: " in output.splitlines()[-2], output
        verdict = json.loads((running.folder / "verdict.json").read_text())
        assert {run["status"] for run in verdict["runs"]} == {"counted", "missing"}
        left = [path.name for path in disk.iterdir() if not path.name.startswith("filler")]
        assert left == [], "nothing is left"


def test_a_full_results_disk_stops_the_race_and_is_reported(tmp_path):
    scenario = scenario_file(tmp_path, HTTP, fileSize="1MB", repetitions=100)
    with (
        small_disk(tmp_path / "disk", "size=80m") as disk,
        race(tmp_path, scenario, results=disk) as running,
    ):
        wait_for(lambda: closed(running), "the first run")
        with kept_full(disk):
            assert running.end() == Exit.INFRASTRUCTURE
        output = running.output()
        assert "no space left; make room" in output
        assert output.index("! ") < output.index("swarmrace verdict"), "reported during the race"
        assert head(running.folder)["status"] == "stopped", "there is room for the last record"
        running.wait_until_nothing_is_left()


def test_a_results_folder_that_is_removed_stops_the_race(tmp_path):
    scenario = scenario_file(tmp_path, HTTP, fileSize="1MB", repetitions=200)
    with race(tmp_path, scenario) as running:
        folder = running.folder
        wait_for(lambda: closed(running), "the first run")
        shutil.rmtree(folder, ignore_errors=True)
        wait_for(lambda: shutil.rmtree(folder, ignore_errors=True) or not folder.exists(), "it")
        assert running.end() == Exit.INFRASTRUCTURE
        assert "was removed or replaced while the race ran" in running.output()
        running.wait_until_nothing_is_left()
        assert not folder.exists(), "it isn't created again"


def in_a_network(tmp_path, script: str) -> subprocess.CompletedProcess:
    """Run `script` in an empty network namespace; `RACE` in it is the command of a race."""
    scenario = scenario_file(tmp_path, HTTP, fileSize="1MB", repetitions=200)
    run = f"{sys.executable} -m swarmrace run {scenario} --results {tmp_path}/results"
    return subprocess.run(
        ["unshare", "--net", "sh", "-c", script.replace("RACE", run)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_loopback_interface_nothing_is_started(tmp_path):
    done = in_a_network(tmp_path, "RACE")
    assert done.returncode == Exit.UNAVAILABLE
    assert "network: the loopback interface is down" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_loopback_interface_that_goes_down_stops_the_race(tmp_path):
    wait = f"until ls {tmp_path}/results/*/runs/*/run.json; do sleep 0.1; done >/dev/null 2>&1"
    done = in_a_network(tmp_path, f"ip link set lo up; ({wait}; ip link set lo down)& RACE")
    assert done.returncode == Exit.INFRASTRUCTURE
    assert "the loopback interface is down" in done.stderr


def test_a_peer_that_the_kernel_kills_for_memory_stops_the_race(tmp_path):
    """It held less memory than declared, so others used it up or the limit is too low."""
    scenario = scenario_file(tmp_path, HTTP, fileSize="5MB", repetitions=200)
    with memory_cgroup(10**9) as folder, race(tmp_path, scenario) as running:
        wait_for(lambda: closed(running), "the first run")
        move(running.member("h-1").pid, folder)
        limit(folder, 4096)
        assert running.end() == Exit.INFRASTRUCTURE
        output, found = running.output(), closed(running)
        assert "out of memory: the kernel killed it" in head(running.folder)["stoppedBy"]
        assert "peer 1 of h: its process ended: killed by signal 9" in output
        reasons = {run["failure"] and run["failure"]["reason"] for run in found}
        assert reasons == {None, "infrastructure"}
        verdict = json.loads((running.folder / "verdict.json").read_text())
        assert {run["status"] for run in verdict["runs"]} == {"counted", "missing"}
        running.wait_until_nothing_is_left()


def test_a_peer_killed_from_outside_is_reported_so(tmp_path):
    scenario = scenario_file(tmp_path, {"h": {"kind": "http"}}, fileSize="5MB", repetitions=200)
    with race(tmp_path, scenario) as running:
        wait_for(lambda: closed(running), "the first run")
        running.member("h-1").kill()
        assert running.end() != Exit.INFRASTRUCTURE
        assert "killed by signal 9 (killed from outside: not for memory" in running.output()


@pytest.mark.parametrize(("by", "reason"), [("-1800", "infrastructure"), ("0", "stall")])
def test_a_transfer_that_hangs_after_a_clock_step_is_missing(tmp_path, monkeypatch, by, reason):
    """A program's timers may stop for as long as the wall clock was set back."""
    for name, value in steppable_clock(tmp_path).items():
        monkeypatch.setenv(name, value)
    entrants = {"s": {"kind": "synthetic", "curve": [[0, 0], [6, 1]], "faults": {"1": "stall"}}}
    scenario = scenario_file(tmp_path, entrants, timeouts={"stallSeconds": 15})
    with race(tmp_path, scenario) as running:
        running.wait_until("race", "s-1")
        (tmp_path / "step").write_text(by)
        running.end()
        (run,) = closed(running)
        leecher = running.record(run["runId"], "s-1")
        assert leecher["failure"]["reason"] == reason, running.output()
        assert ("set back by 1800" in leecher["failure"]["detail"]) == (by != "0")
        (judged,) = json.loads((running.folder / "verdict.json").read_text())["runs"]
        assert judged["status"] == ("missing" if by != "0" else "failed")
