"""Races over delay and loss on this machine, by netem or by the relay."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import psutil
import pytest

import racing
from swarmrace.backends.local.backend import LocalRace, run
from swarmrace.errors import ConditionError, InfrastructureError
from swarmrace.network import conditions, namespaces
from swarmrace.plan import plan
from swarmrace.results.folder import load
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Network
from swarmrace.units import format_link_rate
from swarmrace.verdict.compute import compute
from swarmrace.verdict.conditions import _conditions
from swarmrace.verdict.relay_flags import relay_flags
from unprivileged import as_nobody, needs_user_namespaces, open_folder
from unprivileged import run as run_command

REFUSALS = namespaces.refusals()
pytestmark = pytest.mark.skipif(bool(REFUSALS), reason="; ".join(REFUSALS))
DELAY_SECONDS = 0.04


def _local(tmp_path, network, **race) -> LocalRace:
    race = {"swarmSize": 3, "seeders": 1, "fileSize": "1MB", "repetitions": 1, **race}
    entrants = {"bittorrent": {"kind": "bittorrent"}, "http": {"kind": "http"}}
    scenario = parse({"global": {"race": {**race, "network": network}, "entrants": entrants}})
    (tmp_path / "work").mkdir()
    return LocalRace(scenario, "delayed", tmp_path / "results", tmp_path / "work", True)


def _race(local: LocalRace, watch=lambda status: None):
    folder = local.folder()
    asyncio.run(asyncio.wait_for(run(local, folder, watch), 120))
    return load(folder)


def test_a_race_over_delay_and_loss(tmp_path):
    network = {"delayMilliseconds": 1000 * DELAY_SECONDS, "lossPercent": 0.5, "upload": "8Mbit"}
    results = _race(_local(tmp_path, network))
    assert not results.faults
    for record in results.runs:
        for peer in record.leechers:
            transfer = record.peers[peer].transfer
            assert transfer.verified
            assert record.peers[peer].wire_curve.bytes_until_done > 1_000_000
            # a connection, a request and an answer: four ways, of which two are after the SYN
            assert transfer.arrival[0].seconds > 3 * DELAY_SECONDS
    means = "relay" if conditions.relayed(Network(delay_milliseconds=1)) else "netem"
    delay = results.info.delay
    assert delay.means == means
    assert delay.one_way_seconds == pytest.approx(DELAY_SECONDS, rel=0.1)
    assert delay.needed_rate == pytest.approx(3 * 1_000_000 * 0.995)
    verdict = compute(results)
    (line,) = [line for line in _conditions(verdict) if line.startswith("delay and loss: ")]
    assert means in line
    assert f"measured {1000 * delay.one_way_seconds:.2f} ms one way" in line
    assert f"where the rates set come to {format_link_rate(delay.needed_rate)}" in line
    if means == "relay":
        for record in results.runs:
            relayed = record.result.relay
            assert relayed["frame_bytes"] > 2_000_000, "two leechers got 1 MB each"
            assert relayed["cpu_microseconds"] > 0
            assert 0 < relayed["lost"] < 0.05 * relayed["frames"]
    assert list((tmp_path / "work").iterdir()) == []


def test_a_run_in_which_the_relay_was_late_is_flagged(tmp_path):
    results = _race(_local(tmp_path, {"delayMilliseconds": 1}))
    kept, late = results.runs
    kept.result.relay.clear()
    late.result.relay.update({"frames": 1000, "late": 11, "overflowed": 3})
    (flag,) = relay_flags(results)
    assert flag.entrant == late.run.entrant
    assert "11 of 1000 frames left late, 3 frames found no room" in flag.text
    late.result.relay.update({"late": 10, "overflowed": 0})
    assert list(relay_flags(results)) == []


@pytest.mark.skipif(
    not REFUSALS and not conditions.relayed(Network(delay_milliseconds=1)),
    reason="this kernel has netem",
)
def test_a_race_whose_relay_dies_ends_at_once_and_leaves_nothing(tmp_path):
    local = _local(tmp_path, {"delayMilliseconds": 5, "upload": "1Mbit"}, fileSize="10MB")
    family: list[psutil.Process] = []

    def watch(status):
        if not family and any(peer["stage"] == "race" for peer in status["peers"]):
            family.extend(psutil.Process().children(recursive=True))
            (relay,) = (each for each in family if each.name() == "relay")
            os.kill(relay.pid, signal.SIGKILL)

    with pytest.raises(InfrastructureError, match=r"relay: ended .* \(killed by signal 9 "):
        _race(local, watch)
    names = {each.name() for each in family if each.is_running()}
    assert not names & {"relay", "rendezvous", "http-0", "bittorrent-0"}
    assert list((tmp_path / "work").iterdir()) == []


def test_a_race_that_the_relay_cannot_carry_is_not_begun(tmp_path):
    local = _local(tmp_path, {"delayMilliseconds": 5, "upload": "40Gbit"})
    with pytest.raises(ConditionError, match=r"come to 120 Gbit/s \(15 GB/s\), measured"):
        _race(local)
    assert list((tmp_path / "work").iterdir()) == []
    (folder,) = (tmp_path / "results").iterdir()
    assert not (folder / "race.json").exists()


def test_a_plan_says_what_makes_the_delay(tmp_path):
    planned = plan.plan(_local(tmp_path, {"delayMilliseconds": 5}).scenario)
    (line,) = [line for line in planned.assumptions if line.startswith("delay and loss")]
    assert line.split(": ")[1].startswith(("netem", "a relay in user space"))


@needs_user_namespaces
def test_who_is_not_root_has_delay_too():
    """By a relay without real-time priority: a long delay, so that a busy machine holds it."""
    with open_folder() as folder:
        network = {"delayMilliseconds": 100}
        file = racing.scenario_file(folder, {"http": {"kind": "http"}}, network=network)
        planned = run_command(as_nobody(_swarmrace("plan", file)))
        assert "delay and loss, on this machine: " in planned.stdout
        command = _swarmrace("run", file, "--results", folder / "results", "--work-dir", folder)
        done = run_command(as_nobody(command), cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        results = load(next((folder / "results").iterdir()))
        assert results.info.delay.one_way_seconds == pytest.approx(0.1, rel=0.1)
        assert results.runs[0].peers[1].outcome == "completed"


def _swarmrace(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "swarmrace", *map(str, arguments)]
