"""Races over delay and loss on this machine, by netem or by the relay."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import psutil
import pytest

import racing
from patience import PATIENCE_SECONDS, TRIES, on_a_quiet_moment
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
pytestmark = pytest.mark.skipif(
    bool(REFUSALS), reason=f"NOT TESTED: needs network namespaces: {'; '.join(REFUSALS)}"
)
DELAY_SECONDS = 0.04


def _local(tmp_path, network, **race) -> LocalRace:
    race = {"swarmSize": 3, "seeders": 1, "fileSize": "1MB", "repetitions": 1, **race}
    entrants = {"bittorrent": {"kind": "bittorrent"}, "http": {"kind": "http"}}
    scenario = parse({"global": {"race": {**race, "network": network}, "entrants": entrants}})
    (tmp_path / "work").mkdir()
    return LocalRace(scenario, "delayed", tmp_path / "results", tmp_path / "work", True)


def _race(local: LocalRace, watch=lambda status: None):
    folder = local.folder()
    asyncio.run(asyncio.wait_for(run(local, folder, watch), PATIENCE_SECONDS))
    return load(folder)


def _raced(local: LocalRace, watch=lambda status: None):
    """Race; again if a busy machine couldn't hold the delay, and the race was refused for that."""
    return on_a_quiet_moment(lambda: _race(local, watch))


def test_a_race_over_delay_and_loss(tmp_path):
    network = {"delayMilliseconds": 1000 * DELAY_SECONDS, "lossPercent": 0.5, "upload": "8Mbit"}
    results = _raced(_local(tmp_path, network))
    assert not results.faults
    for record in results.runs:
        for peer in record.leechers:
            transfer = record.peers[peer].transfer
            assert transfer.verified
            assert record.peers[peer].wire_curve.bytes_until_done > 1_000_000
            # A connection, a request and an answer take four ways.
            assert transfer.arrival[0].seconds > 3 * DELAY_SECONDS
    means = "relay" if conditions.needs_relay(Network(delay_milliseconds=1)) else "netem"
    delay = results.info.delay
    assert delay.means == means
    assert delay.one_way_seconds == pytest.approx(DELAY_SECONDS, rel=0.1)
    assert delay.needed_rate == pytest.approx(3 * 1_000_000 * 0.995)
    verdict = compute(results)
    (line,) = [line for line in _conditions(verdict) if line.startswith("delay and loss: ")]
    assert means in line
    assert f"measured {1000 * delay.one_way_seconds:.2f} ms one way" in line
    assert f"the set rates add up to {format_link_rate(delay.needed_rate)}" in line
    if means == "relay":
        for record in results.runs:
            relayed = record.result.relay
            assert relayed["frame_bytes"] > 2_000_000, "two leechers got 1 MB each"
            assert relayed["cpu_microseconds"] > 0
            assert 0 < relayed["lost"] < 0.05 * relayed["frames"]
    assert list((tmp_path / "work").iterdir()) == []


def test_a_run_with_a_late_relay_is_flagged(tmp_path):
    results = _raced(_local(tmp_path, {"delayMilliseconds": 1}))
    kept, late = results.runs
    kept.result.relay.clear()
    late.result.relay.update({"frames": 1000, "late": 11, "overflowed": 3})
    (flag,) = relay_flags(results)
    assert flag.entrant == late.run.entrant
    assert "11 of 1000 frames left late, 3 frames found no room" in flag.text
    late.result.relay.update({"late": 10, "overflowed": 0})
    assert list(relay_flags(results)) == []


@pytest.mark.skipif(
    not REFUSALS and not conditions.needs_relay(Network(delay_milliseconds=1)),
    reason="NOT TESTED: this kernel has netem, so no relay is used",
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
        _raced(local, watch)
    names = {each.name() for each in family if each.is_running()}
    assert not names & {"relay", "rendezvous", "http-0", "bittorrent-0"}
    assert list((tmp_path / "work").iterdir()) == []


def test_a_race_with_rates_above_the_relays_is_not_begun(tmp_path):
    local = _local(tmp_path, {"delayMilliseconds": 5, "upload": "30Gbit"})
    with pytest.raises(ConditionError, match=r"add up to 90 Gbit/s \(11.2 GB/s\), measured"):
        _race(local)
    assert list((tmp_path / "work").iterdir()) == []
    (folder,) = (tmp_path / "results").iterdir()
    assert not (folder / "race.json").exists()


def test_a_plan_names_the_means_of_the_delay(tmp_path):
    planned = plan.plan(_local(tmp_path, {"delayMilliseconds": 5}).scenario)
    (line,) = [line for line in planned.assumptions if line.startswith("delay and loss")]
    assert line.split(": ")[1].startswith(("netem", "a relay in user space"))


@needs_user_namespaces
def test_a_user_without_root_rights_has_delay_too():
    """The relay has no real-time priority then, so the delay is long enough for a busy machine."""
    with open_folder() as folder:
        network = {"delayMilliseconds": 100}
        file = racing.scenario_file(folder, {"http": {"kind": "http"}}, network=network)
        planned = run_command(as_nobody(_swarmrace("plan", file)))
        assert "delay and loss, on this machine: " in planned.stdout
        for number in range(TRIES):  # a busy machine may not hold the delay, and refuse the race
            place = folder / f"results-{number}"
            command = _swarmrace("run", file, "--results", place, "--work-dir", folder)
            done = run_command(as_nobody(command), cwd=folder)
            if "end what else is running" not in done.stderr:
                break
        assert done.returncode == 0, done.stdout + done.stderr
        results = load(next(place.iterdir()))
        assert results.info.delay.one_way_seconds == pytest.approx(0.1, rel=0.1)
        assert results.runs[0].peers[1].outcome == "completed"


def _swarmrace(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "swarmrace", *map(str, arguments)]
