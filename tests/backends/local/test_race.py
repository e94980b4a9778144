"""Whole races on this machine from the command line, and what may go wrong during one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal

import psutil
import pytest

import racing
from swarmrace.network import namespaces

SLOW = {"kind": "synthetic", "curve": [[0, 0], [12, 1]], "recordSize": "20kB"}
"""Takes so long that a test can interfere, even on a busy machine."""
ENDLESS = {"kind": "synthetic", "curve": [[0, 0], [300, 1]], "recordSize": "20kB"}
"""Interrupted before it ends, even on a busy machine."""
QUICK = {"kind": "synthetic", "curve": [[0, 0], [0.2, 1]], "recordSize": "100kB"}
BITTORRENT = {"kind": "bittorrent", "profile": "tuned"}
REFUSALS = namespaces.refusals()
needs_namespaces = pytest.mark.skipif(
    bool(REFUSALS), reason=f"NOT TESTED: needs network namespaces: {'; '.join(REFUSALS)}"
)
PATIENT = {"stallSeconds": 60, "transferSeconds": 240, "heartbeatSeconds": 60}


def test_bittorrent_and_http_race_and_leave_nothing(tmp_path):
    entrants = {
        "bt": {"kind": "bittorrent", "profile": "tuned"},
        "web": {"kind": "http", "profile": "tuned"},
    }
    scenario = racing.scenario_file(tmp_path, entrants, swarmSize=4, fileSize="3MB", seeders=2)
    with racing.race(tmp_path, scenario) as race:
        assert race.end() == 0, race.output()
        assert "bt (tuned) took" in race.output()
        assert f"results: {race.folder}"[-40:] in race.output().replace("\n", "")
        race.wait_until_nothing_is_left()
        ids = sorted(path.name for path in (race.folder / "runs").iterdir())
        for run_id in ids:
            assert race.record(run_id)["status"] == "raced"
            entrant, sent_bytes = run_id.partition("-")[2], 0
            for peer in range(4):
                result = race.record(run_id, f"{entrant}-{peer}")
                assert result["outcome"] == "completed", result["failure"]
                sent_bytes += result["counters"]["payload_sent_bytes"]
                if entrant == "bt":
                    assert max(e["connections"] for e in result["connected"]) <= 3
                    assert result["connected"][0]["seconds"] == 0
                if result["role"] == "leecher":
                    assert result["transfer"]["verified"] is True
                    assert result["transfer"]["recordsComplete"] is True
                    assert result["transfer"]["arrival"][-1]["percent"] == 100
                else:
                    assert result["publish"]["seconds"] > 0
            assert sent_bytes >= 2 * 3_000_000, "two leechers got all of it"
        assert not (race.folder / "logs").exists()
        entrants = json.loads((race.folder / "verdict.json").read_text())["entrants"]
        assert 0 <= entrants["bt"]["figures"]["leechersShare"]["value"] < 1
        assert entrants["web"]["figures"]["leechersShare"]["value"] == 0


def test_a_nodes_last_words_are_not_markup_and_every_run_has_its_result(tmp_path):
    words = "addrs=@[/ip4/127.0.0.1/tcp/8070]"
    program = tmp_path / "codex"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--help*|*--version*) echo "Codex version: v0.2.5"; exit 0;; esac\n'
        f"echo '{words}'\nexit 1\n"
    )
    program.chmod(0o755)
    codex = {"kind": "codex", "program": str(program)}
    scenario = racing.scenario_file(tmp_path, {"c": codex}, repetitions=2)
    with racing.race(tmp_path, scenario) as race:
        assert race.end() == 4, race.output()
        assert words in race.output()
        for run_id in ("000-c", "001-c"):
            assert race.record(run_id)["status"] == "not raced"


def test_show_prints_the_same_verdict_again(tmp_path, run_cli):
    scenario = racing.scenario_file(tmp_path, {"a": QUICK}, repetitions=2)
    with racing.race(tmp_path, scenario) as race:
        assert race.end() == 0, race.output()
        first = run_cli("show", "--full", str(race.folder))
        again = run_cli("show", "--full", str(race.folder))
        assert first.exit_code == again.exit_code == 0
        assert first.stdout == again.stdout
        assert first.stdout in race.output()


def test_ctrl_c_ends_everything_and_keeps_what_was_measured(tmp_path):
    scenario = racing.scenario_file(
        tmp_path, {"a": QUICK, "b": ENDLESS}, repetitions=2, order="sequential"
    )
    with racing.race(tmp_path, scenario) as race:
        race.wait_until("race", "b-1", "b-2")
        os.killpg(race.process.pid, signal.SIGINT)
        assert race.end() == 130, race.output()
        assert "interrupted" in race.output()
        race.wait_until_nothing_is_left()
        assert race.record("000-a")["status"] == "raced"
        assert race.record("001-a", "a-1")["outcome"] == "completed"
        assert race.record("002-b")["status"] == "aborted"
        assert race.record("002-b", "b-1")["failure"]["reason"] == "interrupted"
        assert race.record("003-b")["status"] == "not raced"


def test_ctrl_c_before_anything_was_measured_leaves_no_folder(tmp_path):
    scenario = racing.scenario_file(tmp_path, {"a": ENDLESS})
    with racing.race(tmp_path, scenario) as race:
        assert race.folder
        os.killpg(race.process.pid, signal.SIGINT)
        assert race.end() == 130, race.output()
        race.wait_until_nothing_is_left()
        assert "interrupted: all processes have ended" in race.output()
        assert "Traceback" not in race.output()
        assert "never retrieved" not in race.output()
        assert list(race.results.iterdir()) == []


@pytest.mark.parametrize("when", ["peers start", "no transfer has ended"])
def test_ctrl_c_before_a_transfer_ended_leaves_no_folder(tmp_path, when):
    scenario = racing.scenario_file(tmp_path, {"a": ENDLESS}, swarmSize=8, repetitions=2)
    with racing.race(tmp_path, scenario) as race:
        racing.wait_for((race.folder / "race.json").exists, "race.json")
        if when != "peers start":
            race.wait_until("race", "a-1", progress=True)
        os.killpg(race.process.pid, signal.SIGINT)
        assert race.end() == 130, race.output()
        race.wait_until_nothing_is_left()
        assert list(race.results.iterdir()) == []
        last = race.output().splitlines()[-1]
        assert last.endswith("nothing was measured yet, and no folder is left")
        assert "verdict" not in race.output()


def test_ctrl_c_after_a_failed_run_keeps_its_reason(tmp_path):
    scenario = racing.scenario_file(
        tmp_path, {"a": {**QUICK, "faults": {0: "publishHangs"}}, "b": ENDLESS},
        rotateSeeders=False, order="sequential", timeouts={"publishSeconds": 15},
    )  # fmt: skip
    with racing.race(tmp_path, scenario) as race:
        race.wait_until("race", "b-1", "b-2")
        os.killpg(race.process.pid, signal.SIGINT)
        assert race.end() == 130, race.output()
        assert "peer 0" in race.record("000-a")["failure"]["detail"]
        assert "what was measured is kept there" in race.output()


def test_nothing_is_left_after_the_command_is_killed(tmp_path):
    scenario = racing.scenario_file(tmp_path, {"a": ENDLESS})
    with racing.race(tmp_path, scenario) as race:
        race.wait_until("race", "a-1")
        race.member("a-2")
        os.kill(race.process.pid, signal.SIGKILL)
        race.process.wait()
        race.wait_until_nothing_is_left()
        head = json.loads((race.folder / "race.json").read_text())
        assert head["status"] == "running", "it was cut off, but no peer failed"
        assert not list(race.folder.glob("runs/*/*.json")), "the run in flight left nothing"


def test_a_killed_leecher_is_a_result_and_the_others_finish(tmp_path):
    scenario = racing.scenario_file(
        tmp_path, {"a": SLOW, "b": QUICK}, repetitions=2, order="sequential", timeouts=PATIENT
    )
    with racing.race(tmp_path, scenario) as race:
        race.wait_until("race", "a-1", "a-2", progress=True)
        race.member("a-2").kill()
        assert race.end() == 10, race.output()  # a transfer failed
        race.wait_until_nothing_is_left()
        assert race.record("000-a")["status"] == "raced"
        assert race.record("000-a", "a-1")["outcome"] == "completed"
        lost = race.record("000-a", "a-2")
        assert lost["failure"]["reason"] == "peer lost"
        assert "signal 9" in lost["failure"]["detail"]
        later = race.record("001-a")
        assert later["status"] == "not raced"
        assert "peer 2 lost" in later["failure"]["detail"]
        assert race.record("003-b")["status"] == "raced"
        assert "peer lost" in race.output()


SIZE = 60_000_000
LIMITED = {"network": {"upload": "40Mbit"}} if not REFUSALS else {}
"""Where the kernel permits it, so slow that no transfer is over before its first byte is seen."""


@contextlib.contextmanager
def halted_in_transfer(race):
    """Suspend the seeder once a first byte has arrived."""
    racing.wait_for(
        lambda: any(
            file.is_file() and file.stat().st_blocks
            for peer in (1, 2)
            for file in race.work.glob(f"swarmrace-*/bt-{peer}/system/**/*")
        ),
        "a first byte",
    )
    seeder = race.member("bt-0")
    seeder.suspend()
    try:
        yield seeder
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            seeder.resume()


def bittorrent_run(race):
    (run_id,) = (p.name for p in (race.folder / "runs").iterdir() if p.name.endswith("-bt"))
    return run_id


def test_a_killed_bittorrent_leecher_is_a_result_and_the_others_finish(tmp_path):
    scenario = racing.scenario_file(
        tmp_path, {"bt": BITTORRENT, "z": QUICK}, fileSize=SIZE, rotateSeeders=False,
        order="sequential", timeouts=PATIENT, **LIMITED,
    )  # fmt: skip
    with racing.race(tmp_path, scenario) as race:
        leecher = race.member("bt-2")
        with halted_in_transfer(race):
            leecher.kill()
        assert race.end() == 10, race.output()  # a transfer failed
        race.wait_until_nothing_is_left()
        run_id = bittorrent_run(race)
        assert race.record(run_id)["status"] == "raced"
        other = race.record(run_id, "bt-1")
        assert other["outcome"] == "completed"
        assert other["transfer"]["verified"] is True
        assert race.record(run_id, "bt-2")["failure"]["reason"] == "peer lost"


def test_a_killed_bittorrent_seeder_makes_the_leechers_stall(tmp_path):
    scenario = racing.scenario_file(
        tmp_path, {"bt": BITTORRENT, "z": QUICK}, fileSize=SIZE, rotateSeeders=False,
        order="sequential", timeouts={**PATIENT, "stallSeconds": 15}, **LIMITED,
    )  # fmt: skip
    with racing.race(tmp_path, scenario) as race:
        with halted_in_transfer(race) as seeder:
            seeder.kill()
        race.end()
        race.wait_until_nothing_is_left()
        run_id = bittorrent_run(race)
        for peer in (1, 2):
            result = race.record(run_id, f"bt-{peer}")
            assert result["failure"]["reason"] == "stall", result["failure"]
            assert 0 < result["transfer"]["receivedBytes"] < SIZE
        assert race.record(run_id, "bt-0")["failure"]["reason"] == "peer lost"
        (other,) = (p.name for p in (race.folder / "runs").iterdir() if p.name.endswith("-z"))
        assert race.record(other)["status"] == "raced"


@needs_namespaces
def test_a_killed_seeder_makes_the_leechers_stall(tmp_path):
    bt = {"kind": "bittorrent", "profile": "tuned"}
    scenario = racing.scenario_file(
        tmp_path,
        {"a": bt, "b": QUICK},
        fileSize="20MB",
        network={"upload": "20Mbit"},
        order="sequential",
        rotateSeeders=False,
        timeouts={**PATIENT, "stallSeconds": 15},
    )
    with racing.race(tmp_path, scenario) as race:
        race.wait_until("race", "a-1", "a-2", progress=True)
        race.member("a-0").kill()
        assert race.end() == 10, race.output()[:3000]
        race.wait_until_nothing_is_left()
        for peer in (1, 2):
            result = race.record("000-a", f"a-{peer}")
            assert result["failure"]["reason"] == "stall", result["failure"]
            assert 0 < result["transfer"]["receivedBytes"] < 20_000_000
            assert result["wire"]["receivedBytes"] > result["transfer"]["receivedBytes"]
        assert race.record("000-a", "a-0")["failure"]["reason"] == "peer lost"
        assert race.record("001-b")["status"] == "raced"


def test_a_tracker_that_dies_after_the_last_leecher_has_ended_costs_nothing(tmp_path):
    tries = 6
    scenario = racing.scenario_file(
        tmp_path, {"a": QUICK}, repetitions=tries, fileSize="300MB", rotateSeeders=False
    )
    with racing.race(tmp_path, scenario) as race:

        def verifying():
            run = (race.status() or {}).get("run") or {}
            return run["id"] if run.get("barrier") == "cleared" else None

        # The leecher is stopped, so that it still verifies when the tracker dies.
        for _ in range(tries):
            found = racing.wait_for(verifying, "the last leecher's end")
            race.member("a-1").send_signal(signal.SIGSTOP)
            stopped_in_time = verifying() == found
            if stopped_in_time:
                race.member("rendezvous").kill()
            race.member("a-1").send_signal(signal.SIGCONT)
            if stopped_in_time:
                break
        else:
            pytest.fail("the leecher was never stopped in time")
        assert race.end() == 0, race.output()
        race.wait_until_nothing_is_left()
        for index in range(tries):
            assert race.record(f"{index:03}-a")["status"] == "raced"
            assert race.record(f"{index:03}-a", "a-1")["outcome"] == "completed"


def test_a_killed_tracker_costs_only_the_run_in_flight(tmp_path):
    scenario = racing.scenario_file(
        tmp_path, {"a": SLOW, "b": QUICK}, repetitions=2, order="sequential"
    )
    with racing.race(tmp_path, scenario) as race:
        race.wait_until("race", "a-1", "a-2", progress=True)
        race.member("rendezvous").kill()
        assert race.end() == 0, race.output()
        race.wait_until_nothing_is_left()
        aborted = race.record("000-a")
        assert aborted["status"] == "aborted"
        assert aborted["failure"]["reason"] == "tracker lost"
        assert race.record("000-a", "a-1")["transfer"]["receivedBytes"] > 0
        for run_id, name in (("001-a", "a"), ("002-b", "b"), ("003-b", "b")):
            assert race.record(run_id)["status"] == "raced"
            assert race.record(run_id, f"{name}-2")["outcome"] == "completed"
        assert "tracker lost" in race.output()


@pytest.mark.parametrize(
    ("fault", "reason", "stage"),
    [
        ("stall", "stall", "race"),
        ("refused", "refused", "race"),
        ("crash", "node died", "race"),
        ("wrongBytes", "wrong bytes", "verify"),
    ],
)
def test_a_systems_fault_is_a_result_with_its_reason(tmp_path, fault, reason, stage):
    entrants = {"a": {**QUICK, "faults": {1: fault}}}
    scenario = racing.scenario_file(
        tmp_path, entrants, rotateSeeders=False, timeouts={**PATIENT, "stallSeconds": 15}
    )
    with racing.race(tmp_path, scenario) as race:
        assert race.end() == 7, race.output()  # no run gave a number
        failure = race.record("000-a", "a-1")["failure"]
        assert (failure["reason"], failure["stage"]) == (reason, stage)
        assert race.record("000-a", "a-2")["outcome"] == "completed"
        assert re.search(rf"{reason}", race.output())


def test_a_run_whose_seeder_can_not_publish_is_not_raced(tmp_path):
    entrants = {"a": {**QUICK, "faults": {0: "publishHangs"}}, "b": QUICK}
    scenario = racing.scenario_file(
        tmp_path, entrants, rotateSeeders=False, timeouts={"publishSeconds": 15}
    )
    with racing.race(tmp_path, scenario) as race:
        assert race.end() == 10, race.output()  # an entrant failed before the start
        (run_id,) = (p.name for p in (race.folder / "runs").iterdir() if p.name.endswith("a"))
        run = race.record(run_id)
        assert run["status"] == "not raced"
        assert "peer 0" in run["failure"]["detail"]
        failure = race.record(run_id, "a-0")["failure"]
        assert (failure["reason"], failure["stage"]) == ("timeout", "publish")
        assert race.record(run_id, "a-1")["failure"]["reason"] == "not run"
